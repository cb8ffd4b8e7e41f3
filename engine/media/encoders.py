"""Video encoders with their quality, presets and default options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from av.codec.codec import Codec, UnknownCodecError

from engine.errors import ParameterError
from engine.options import EncodeOptions

_MACROBLOCK, _BLOCKS_AT_ONCE = 16, 8
# Any: the lowest numpy does not tell the type of the result.
_EXTENSIONS = cast("Any", np.show_config)("dicts").get("SIMD Extensions", {})
_AVX512 = any(
    name.startswith(("AVX512", "X86_V4"))
    for kind in ("baseline", "found")
    for name in _EXTENSIONS.get(kind, ())
)
_X26_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
    "placebo",
)


@dataclass(frozen=True, slots=True)
class Encoder:
    """One of FFmpeg's video encoders and the options that the engine gives it.

    Attributes:
        name: FFmpeg's name.
        crf: default quality; None if the encoder has none.
        max_crf: the largest crf, the lowest quality.
        preset_option: name of the option that takes the preset.
        preset: the default preset.
        presets: all presets.
        options: options that are always set.
    """

    name: str
    crf: float | None = None
    max_crf: float = 0
    preset_option: str = "preset"
    preset: str | None = None
    presets: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


_ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder("libx264", 18, 51, preset="medium", presets=_X26_PRESETS),
        Encoder(
            "libx265",
            20,
            51,
            preset="medium",
            presets=_X26_PRESETS,
            options={"x265-params": "log-level=error"},
        ),
        Encoder("libsvtav1", 24, 63, preset="8", presets=tuple(str(n) for n in range(14))),
        Encoder(
            "libvpx-vp9",
            22,
            63,
            preset_option="cpu-used",
            preset="4",
            presets=tuple(str(n) for n in range(9)),
            options={"b": "0", "row-mt": "1", "deadline": "good"},
        ),
        Encoder(
            "libvpx",
            10,
            63,
            preset_option="cpu-used",
            preset="4",
            presets=tuple(str(n) for n in range(17)),
            options={"b": "20M", "deadline": "good"},
        ),
        Encoder("prores_ks", options={"vendor": "apl0"}),
        Encoder("dnxhd"),
        Encoder("ffv1", options={"level": "3", "slicecrc": "1"}),
        Encoder("mpeg4", options={"qmin": "2", "qmax": "4"}),
    )
}
_ALIASES = {
    "h264": "libx264",
    "avc": "libx264",
    "x264": "libx264",
    "hevc": "libx265",
    "h265": "libx265",
    "x265": "libx265",
    "av1": "libsvtav1",
    "vp8": "libvpx",
    "vp9": "libvpx-vp9",
    "prores": "prores_ks",
    "dnxhr": "dnxhd",
}
_CANONICAL = frozenset({"h264", "hevc", "av1", "vp8", "vp9", "prores", "dnxhr"})


def encoder_named(name: str) -> Encoder:
    """Return the encoder for a codec's name or an encoder's own name; it need not be built in."""
    own = _ALIASES.get(name, name)
    return _ENCODERS.get(own, Encoder(own))


def requested_encoder(name: str) -> Encoder:
    """Return the encoder that the user named, by its own name or its codec's.

    Raises:
        ParameterError: FFmpeg has no video encoder of that name here.
    """
    try:
        codec = Codec(_ALIASES.get(name.lower(), name), "w")
    except UnknownCodecError:
        codec = None
    if codec is None or codec.type != "video":
        known = ", ".join(sorted(set(_ALIASES) | set(_ENCODERS)))
        raise ParameterError(f"There is no video encoder named {name}; possible are {known}.")
    return encoder_named(codec.name)


def reproducible_options(encoder: Encoder, width: int) -> dict[str, str]:
    """Return options without which equal pictures of a width are not always encoded equally.

    x264's macroblock tree reads memory beyond its rows with AVX-512, unless a row has a multiple of
    eight macroblocks: of 60 equal runs at 720 pixels, ten gave other packets; with AVX2 none did.
    """
    uneven = -(-width // _MACROBLOCK) % _BLOCKS_AT_ONCE
    return {"x264-params": "asm=avx2"} if encoder.name == "libx264" and uneven and _AVX512 else {}


def encoders_for(supported: Collection[str]) -> list[str]:
    """Return the codec names, of those with an encoder, that a container supports, sorted."""
    return sorted(
        alias
        for alias, name in _ALIASES.items()
        if {alias, name} & set(supported) and alias in _CANONICAL
    )


def encoder_options(encoder: Encoder, options: EncodeOptions) -> dict[str, str]:
    """Return the options with which FFmpeg opens the encoder.

    Raises:
        ParameterError: the encoder does not have the requested quality or preset.
    """
    chosen = dict(encoder.options)
    if options.crf is not None and encoder.crf is None:
        raise ParameterError(f"{encoder.name} has no crf; leave it out or choose another codec.")
    crf = encoder.crf if options.crf is None else options.crf
    if crf is not None:
        if not 0 <= crf <= encoder.max_crf:
            raise ParameterError(
                f"The crf {crf:g} is out of range; {encoder.name} takes 0 to {encoder.max_crf:g}."
            )
        chosen["crf"] = f"{crf:g}"
    preset = encoder.preset if options.preset is None else options.preset
    if preset is not None:
        if preset not in encoder.presets:
            known = ", ".join(encoder.presets) or "none"
            raise ParameterError(
                f"{encoder.name} has no preset named {preset}; possible are {known}."
            )
        chosen[encoder.preset_option] = preset
    return chosen
