"""Choose the encoder, the pixel format and the size for a target and its output's container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from av.codec.codec import Codec, find_best_pix_fmt_of_list

from engine.errors import MediaError, ParameterError
from engine.media.encoder_trials import encoder_problem
from engine.media.encoders import Encoder, encoder_asked, encoder_named, encoder_options
from engine.media.formats import depth_suffix
from engine.media.formats import pixel_format as described
from engine.options import EncodeOptions
from engine.values import Frame, PixelFormat

# Containers whose films go to players, by FFmpeg's names, and the codecs that players know there.
_PLAYED = frozenset({"flv", "mov", "mp4", "mpegts", "webm"})
_PLAYED_CODECS = frozenset({"av1", "h264", "hevc", "mpeg4", "vp8", "vp9"})
_WITHOUT_HEVC = frozenset({"avi"})
# What keeps transparency in each container.
_TRANSPARENT = {
    "avi": "ffv1",
    "matroska": "ffv1",
    "mov": "prores_ks",
    "nut": "ffv1",
    "webm": "libvpx-vp9",
}
# Codecs of editing programs, with the containers in which a target keeps them, and their encoders.
_EDITED = {
    ("dnxhd", "mov"): "dnxhd",
    ("prores", "matroska"): "prores_ks",
    ("prores", "mov"): "prores_ks",
}
# A profile as FFmpeg names it once a stream is open, and as its encoders take it.
_PRORES_PROFILES = {
    "Proxy": "proxy",
    "LT": "lt",
    "Standard": "standard",
    "HQ": "hq",
    "4444": "4444",
    "XQ": "4444xq",
}
_DNXHR_PROFILES = {
    "yuv422p": "dnxhr_hq",
    "yuv422p10le": "dnxhr_hqx",
    "yuv444p10le": "dnxhr_444",
    "gbrp10le": "dnxhr_444",
}
_SMALLER_DNXHR = {"DNXHR LB": "dnxhr_lb", "DNXHR SQ": "dnxhr_sq"}


@dataclass(frozen=True, slots=True)
class Original:
    """How the target is encoded: FFmpeg's name of the codec, and of its profile if it has one."""

    codec: str
    profile: str | None


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoder with its options, and the pictures that it is given."""

    encoder: Encoder
    options: Mapping[str, str]
    pixel_format: str
    size: tuple[int, int]
    warnings: tuple[str, ...]


def choose_encoding(
    first: Frame, container: str, original: Original, options: EncodeOptions
) -> Encoding:
    """The encoding that was asked for, or the one that fits the target and the container.

    Every pixel format is tried on the encoder before it is chosen.

    Raises:
        ParameterError: no encoder has that name, or it does not take the quality, the preset or
            the pixel format that was asked for.
        MediaError: the encoder that was asked for takes no picture of this size.
    """
    if options.codec is not None:
        encoder = encoder_asked(options.codec)
        encoding = _encoding(encoder, first, container, original, options)
        if encoding is None:
            width, height = first.coded_size
            raise MediaError(
                f"The encoder {encoder.name} cannot encode pictures of {width}x{height} as "
                f"{first.format.name} or as any like it here; choose another video_codec, such as "
                "h264, or see with `faceswap-engine doctor` which work."
            )
        return encoding
    for encoder in _fitting(first, container, original, options):
        encoding = _encoding(encoder, first, container, original, options)
        if encoding is not None:
            return encoding
    raise MediaError("No video encoder works here; see `faceswap-engine doctor`.")


def _fitting(
    first: Frame, container: str, original: Original, options: EncodeOptions
) -> Iterator[Encoder]:
    """The encoders that fit, the best first."""
    # Who asks for a quality or a preset asks for an encoder that has them.
    if options.crf is None and options.preset is None:
        if (original.codec, container) in _EDITED:
            yield encoder_named(_EDITED[original.codec, container])
        if container in _TRANSPARENT and _is_transparent(first, original):
            yield encoder_named(_TRANSPARENT[container])
    if container == "webm":
        yield encoder_named("vp9")
    else:
        deep = first.format.bits > 8 and container not in _WITHOUT_HEVC
        yield encoder_named("hevc" if deep else "h264")


def _is_transparent(first: Frame, original: Original) -> bool:
    """Whether a target has transparency to keep; every GIF is decoded with some."""
    if not first.format.alpha:
        return False
    return original.codec != "gif" or bool((first.planes[-1] < 255).any())


def _encoding(
    encoder: Encoder, first: Frame, container: str, original: Original, options: EncodeOptions
) -> Encoding | None:
    """How an encoder takes the target's pictures; None where it does not."""
    chosen = encoder_options(encoder, options)
    trial = _Trial(encoder, original, first.coded_size)
    own, asked = first.format, options.pixel_format
    keeping = asked == "keep" or not (container in _PLAYED and trial.codec in _PLAYED_CODECS)
    transparent = _is_transparent(first, original)
    if asked is not None and asked != "keep":
        wanted, keeping = own.name, False
        name: str | None = _asked(asked, trial)
    else:
        alpha = transparent and encoder.name == _TRANSPARENT.get(container)
        wanted = own.name if keeping else _for_players(own, original, alpha=alpha)
        name = trial.nearest(wanted)
    if name is None:
        return None
    size = first.coded_size
    if not trial.takes(name, size):
        full = f"yuv444p{depth_suffix(own.bits)}"
        if keeping and trial.takes(full, size):
            name = full
        else:
            size = trial.even
    changes = []
    if size != first.coded_size:
        changes.append(_padded(encoder, name, first.coded_size, size))
    if asked in (None, "keep"):
        for_players = _is_full(own) and not _is_full(described(wanted))
        changes += _changed(encoder, first, name, transparent=transparent, for_players=for_players)
    return Encoding(
        encoder=encoder,
        options={**chosen, **_profile(encoder, name, original)},
        pixel_format=name,
        size=size,
        warnings=tuple(changes),
    )


def _for_players(own: PixelFormat, original: Original, *, alpha: bool) -> str:
    """The format nearest to the target's that players of films can show.

    That is 4:2:0. 4:2:2 is left as it is, and so is 4:4:4 where the target was itself for players.
    """
    sampling = "420"
    if own.family == "yuv" and not own.chroma_shift_y:
        if own.chroma_shift_x == 1:
            sampling = "422"
        elif not own.chroma_shift_x and original.codec in _PLAYED_CODECS:
            sampling = "444"
    bits = own.bits if original.codec in _PLAYED_CODECS else min(own.bits, 10)
    return f"yuv{'a' if alpha else ''}{sampling}p{depth_suffix(bits)}"


class _Trial:
    """What an encoder takes at a target's size, which is found out by giving it pictures."""

    def __init__(self, encoder: Encoder, original: Original, size: tuple[int, int]) -> None:
        codec = Codec(encoder.name, "w")
        self.codec = codec.canonical_name
        self.encoder = encoder
        self.listed = tuple(listed.name for listed in codec.video_formats or ())
        self.even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self._original, self._size = original, size

    def takes(self, name: str, size: tuple[int, int]) -> bool:
        """Whether it encodes a format at a size."""
        options = {**self.encoder.options, **_profile(self.encoder, name, self._original)}
        return not encoder_problem(self.encoder.name, name, size, options)

    def takes_padded(self, name: str) -> bool:
        """Whether it encodes a format at the target's size or at the next even one."""
        return self.takes(name, self._size) or self.takes(name, self.even)

    def nearest(self, wanted: str) -> str | None:
        """Of the formats that the encoder lists, the nearest that it takes."""
        left = list(self.listed) or [wanted]
        while left:
            best = wanted
            if wanted not in left:
                found, _ = find_best_pix_fmt_of_list(left, wanted, described(wanted).alpha)
                if found is None:
                    return None
                best = found.name
            if self.takes_padded(best):
                return best
            left.remove(best)
        return None


def _asked(name: str, trial: _Trial) -> str:
    """The pixel format that a user named.

    Raises:
        ParameterError: the encoder does not take it.
    """
    if name in (trial.listed or (name,)) and trial.takes_padded(name):
        return name
    possible = ", ".join(filter(trial.takes_padded, trial.listed)) or "none"
    raise ParameterError(
        f"pixel_format is {name!r}, which {trial.encoder.name} cannot encode here; possible are "
        f"keep, {possible}."
    )


def _profile(encoder: Encoder, pixel_format: str, original: Original) -> dict[str, str]:
    """The profile of an editing codec: the target's own where it fits the pixel format."""
    if encoder.name == "dnxhd" and pixel_format in _DNXHR_PROFILES:
        own = _SMALLER_DNXHR.get(original.profile or "") if pixel_format == "yuv422p" else None
        return {"profile": own or _DNXHR_PROFILES[pixel_format]}
    if encoder.name == "prores_ks" and original.codec == "prores":
        profile = _PRORES_PROFILES.get(original.profile or "", "")
        if profile and profile.startswith("4444") == ("444p" in pixel_format):
            return {"profile": profile}
    return {}


def _is_full(pixels: PixelFormat) -> bool:
    """Whether there is a colour sample of each kind for every pixel."""
    return pixels.family != "gray" and not (pixels.chroma_shift_x or pixels.chroma_shift_y)


def _padded(encoder: Encoder, name: str, own: tuple[int, int], size: tuple[int, int]) -> str:
    sides = [side for side, n in (("column", 0), ("line", 1)) if own[n] != size[n]]
    return (
        f"The picture is {own[0]}x{own[1]} and {encoder.name} needs even sizes for {name}; its "
        f"last {' and last '.join(sides)} {'is' if len(sides) == 1 else 'are'} repeated once, "
        f"which makes it {size[0]}x{size[1]}. pixel_format keep leaves the size as it is."
    )


def _changed(
    encoder: Encoder, first: Frame, name: str, *, transparent: bool, for_players: bool
) -> Iterator[str]:
    """A sentence where the pictures are encoded in another format than they have and lose by it."""
    own, then = first.format, described(name)
    bare = transparent and not then.alpha
    _, loss = find_best_pix_fmt_of_list([name], own.name, has_alpha=bare)
    # Grey in a format with neutral colours is as it was, for all that FFmpeg counts as lost.
    lossy = then.bits < own.bits if own.family == "gray" else bool(loss)
    if not (lossy or bare):
        return
    without = ", without its transparency" if bare else ""
    if for_players:
        yield (
            f"The target's pictures are {own.name}; they are encoded as {name}{without}, as "
            "players expect. pixel_format keep keeps all of their colour samples."
        )
        return
    width, height = first.coded_size
    fuller = _is_full(then) and then.family == "yuv" and not _is_full(own)
    repeated = ", each chroma sample repeated" if fuller else ""
    hint = ""
    for_editing = Codec(encoder.name, "w").canonical_name not in _PLAYED_CODECS
    if not for_editing and then.family == "yuv" and _is_full(then) and own.name != then.name:
        hint = " Many players cannot show 4:4:4; pixel_format yuv420p makes what they can."
    yield (
        f"{encoder.name} cannot encode {own.name} at {width}x{height}; it is encoded as "
        f"{name}{repeated}{without}.{hint}"
    )
