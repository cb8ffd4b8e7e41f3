"""Choose the encoder, the pixel format and the size for a target and its output's container."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from av.codec.codec import Codec, find_best_pix_fmt_of_list

from engine.errors import MediaError, ParameterError
from engine.media.containers import Container
from engine.media.encoder_trials import encoder_problem
from engine.media.encoders import (
    Encoder,
    encoder_named,
    encoder_options,
    reproducible_options,
    requested_encoder,
)
from engine.media.formats import depth_suffix
from engine.media.formats import pixel_format as described
from engine.options import EncodeOptions
from engine.values import Frame, PixelFormat

_PLAYER_CODECS = frozenset({"av1", "h264", "hevc", "mpeg4", "vp8", "vp9"})
# Encoder's name of each profile, by FFmpeg's name of the profile of an open stream.
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
    """The target's encoding: FFmpeg's names of its codec and of its profile, if it has one."""

    codec: str
    profile: str | None


@dataclass(frozen=True, slots=True)
class Encoding:
    """An encoder with its options, and the pixel format and (width, height) of its pictures."""

    encoder: Encoder
    options: Mapping[str, str]
    pixel_format: str
    size: tuple[int, int]
    warnings: tuple[str, ...]


def choose_encoding(
    first: Frame, container: Container, original: Original, options: EncodeOptions
) -> Encoding:
    """Return the requested encoding, or the one that suits the target and the container.

    Every pixel format is tried on the encoder before it is chosen.

    Raises:
        ParameterError: no encoder has the requested name, or it does not accept the requested
            quality, preset or pixel format.
        MediaError: the requested encoder cannot encode pictures of this size.
    """
    if options.codec is not None:
        encoder = requested_encoder(options.codec)
        encoding = _encoding(encoder, first, container, original, options)
        if encoding is None:
            width, height = first.coded_size
            raise MediaError(
                f"The encoder {encoder.name} cannot encode pictures of {width}x{height} as "
                f"{first.format.name} or a similar format here; choose another video_codec, such "
                "as h264, or see with `faceswap-engine doctor` which work."
            )
        return encoding
    for encoder in _suitable_encoders(first, container, original, options):
        encoding = _encoding(encoder, first, container, original, options)
        if encoding is not None:
            return encoding
    raise MediaError("No video encoder works here; see `faceswap-engine doctor`.")


def _suitable_encoders(
    first: Frame, container: Container, original: Original, options: EncodeOptions
) -> Iterator[Encoder]:
    """Yield the encoders that suit the target and the container, the best first."""
    # Encoders for editing and for transparency may have no quality and no presets.
    if options.crf is None and options.preset is None:
        if original.codec in container.editing_encoders:
            yield encoder_named(container.editing_encoders[original.codec])
        if container.alpha_encoder is not None and _is_transparent(first, original):
            yield encoder_named(container.alpha_encoder)
    is_deep = first.format.bits > 8
    yield encoder_named(container.deep_video_codec if is_deep else container.video_codec)


def _is_transparent(first: Frame, original: Original) -> bool:
    """Return True if the target has transparency to keep; every GIF is decoded with alpha."""
    if not first.format.alpha:
        return False
    return original.codec != "gif" or bool((first.planes[-1] < 255).any())


def _encoding(
    encoder: Encoder,
    first: Frame,
    container: Container,
    original: Original,
    options: EncodeOptions,
) -> Encoding | None:
    """Return the encoding of the target by an encoder; None if it cannot encode its pictures."""
    chosen = encoder_options(encoder, options)
    formats = _EncoderFormats(encoder, original, first.coded_size)
    own, requested = first.format, options.pixel_format
    goes_to_players = container.is_for_players and formats.codec in _PLAYER_CODECS
    keeps_format = requested == "keep" or not goes_to_players
    transparent = _is_transparent(first, original)
    if requested is not None and requested != "keep":
        wanted, keeps_format = own.name, False
        name: str | None = _requested_format(requested, formats)
    else:
        alpha = transparent and encoder.name == container.alpha_encoder
        wanted = own.name if keeps_format else _player_format(own, original, alpha=alpha)
        name = formats.nearest(wanted)
    if name is None:
        return None
    size = first.coded_size
    if not formats.encodes(name, size):
        full = f"yuv444p{depth_suffix(own.bits)}"
        if keeps_format and formats.encodes(full, size):
            name = full
        else:
            size = formats.even_size
    warnings = []
    if size != first.coded_size:
        warnings.append(_padding_warning(encoder, name, first.coded_size, size))
    if requested in (None, "keep"):
        for_players = _has_full_chroma(own) and not _has_full_chroma(described(wanted))
        warnings += _format_warnings(
            encoder, first, name, transparent=transparent, for_players=for_players
        )
    return Encoding(
        encoder=encoder,
        options={
            **chosen,
            **_profile(encoder, name, original),
            **reproducible_options(encoder, size[0]),
        },
        pixel_format=name,
        size=size,
        warnings=tuple(warnings),
    )


def _player_format(own: PixelFormat, original: Original, *, alpha: bool) -> str:
    """Return the pixel format nearest to the target's that players can show.

    It is 4:2:0. 4:2:2 stays, and so does 4:4:4 if the target itself has a codec for players.
    """
    sampling = "420"
    if own.family == "yuv" and not own.chroma_shift_y:
        if own.chroma_shift_x == 1:
            sampling = "422"
        elif not own.chroma_shift_x and original.codec in _PLAYER_CODECS:
            sampling = "444"
    bits = own.bits if original.codec in _PLAYER_CODECS else min(own.bits, 10)
    return f"yuv{'a' if alpha else ''}{sampling}p{depth_suffix(bits)}"


class _EncoderFormats:
    """Pixel formats that an encoder can encode at the target's size, found by trials."""

    def __init__(self, encoder: Encoder, original: Original, size: tuple[int, int]) -> None:
        codec = Codec(encoder.name, "w")
        self.codec = codec.canonical_name
        self.encoder = encoder
        self.listed = tuple(listed.name for listed in codec.video_formats or ())
        self.even_size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
        self._original, self._size = original, size

    def encodes(self, name: str, size: tuple[int, int]) -> bool:
        """Return True if the encoder encodes a pixel format at a size."""
        options = {**self.encoder.options, **_profile(self.encoder, name, self._original)}
        return not encoder_problem(self.encoder.name, name, size, options)

    def encodes_padded(self, name: str) -> bool:
        """Return True if it encodes a format at the target's size or at the next even size."""
        return self.encodes(name, self._size) or self.encodes(name, self.even_size)

    def nearest(self, wanted: str) -> str | None:
        """Return the encoder's format that loses the least of `wanted`; None if none works."""
        left = list(self.listed) or [wanted]
        while left:
            best = wanted
            if wanted not in left:
                found, _ = find_best_pix_fmt_of_list(left, wanted, described(wanted).alpha)
                if found is None:
                    return None
                best = found.name
            if self.encodes_padded(best):
                return best
            left.remove(best)
        return None


def _requested_format(name: str, formats: _EncoderFormats) -> str:
    """Return the pixel format that the user named.

    Raises:
        ParameterError: the encoder cannot encode it.
    """
    if name in (formats.listed or (name,)) and formats.encodes_padded(name):
        return name
    possible = ", ".join(filter(formats.encodes_padded, formats.listed)) or "none"
    raise ParameterError(
        f"pixel_format is {name!r}, which {formats.encoder.name} cannot encode here; possible are "
        f"keep, {possible}."
    )


def _profile(encoder: Encoder, pixel_format: str, original: Original) -> dict[str, str]:
    """Return the profile option of an editing codec: the target's if the pixel format allows it."""
    if encoder.name == "dnxhd" and pixel_format in _DNXHR_PROFILES:
        own = _SMALLER_DNXHR.get(original.profile or "") if pixel_format == "yuv422p" else None
        return {"profile": own or _DNXHR_PROFILES[pixel_format]}
    if encoder.name == "prores_ks" and original.codec == "prores":
        profile = _PRORES_PROFILES.get(original.profile or "", "")
        if profile and profile.startswith("4444") == ("444p" in pixel_format):
            return {"profile": profile}
    return {}


def _has_full_chroma(pixels: PixelFormat) -> bool:
    """Return True for RGB and 4:4:4: every pixel has its own colour samples."""
    return pixels.family != "gray" and not (pixels.chroma_shift_x or pixels.chroma_shift_y)


def _padding_warning(
    encoder: Encoder, name: str, own: tuple[int, int], size: tuple[int, int]
) -> str:
    sides = [side for side, n in (("column", 0), ("line", 1)) if own[n] != size[n]]
    return (
        f"The picture is {own[0]}x{own[1]} and {encoder.name} needs even sizes for {name}; its "
        f"last {' and last '.join(sides)} {'is' if len(sides) == 1 else 'are'} repeated once, "
        f"which makes it {size[0]}x{size[1]}. pixel_format keep leaves the size as it is."
    )


def _format_warnings(
    encoder: Encoder, first: Frame, name: str, *, transparent: bool, for_players: bool
) -> Iterator[str]:
    """Yield a warning if the pictures lose something by the pixel format of the encoder."""
    own, then = first.format, described(name)
    loses_alpha = transparent and not then.alpha
    _, loss = find_best_pix_fmt_of_list([name], own.name, has_alpha=loses_alpha)
    # FFmpeg reports a loss for grey in a YUV format, although the samples stay the same.
    lossy = then.bits < own.bits if own.family == "gray" else bool(loss)
    if not (lossy or loses_alpha):
        return
    without = ", without its transparency" if loses_alpha else ""
    if for_players:
        yield (
            f"The target's pictures are {own.name}; they are encoded as {name}{without}, as "
            "players expect. pixel_format keep keeps all of their colour samples."
        )
        return
    width, height = first.coded_size
    fuller = _has_full_chroma(then) and then.family == "yuv" and not _has_full_chroma(own)
    repeated = ", each chroma sample repeated" if fuller else ""
    hint = ""
    for_editing = Codec(encoder.name, "w").canonical_name not in _PLAYER_CODECS
    if (
        not for_editing
        and then.family == "yuv"
        and _has_full_chroma(then)
        and own.name != then.name
    ):
        hint = " Many players cannot show 4:4:4; pixel_format yuv420p encodes what they can."
    yield (
        f"{encoder.name} cannot encode {own.name} at {width}x{height}; it is encoded as "
        f"{name}{repeated}{without}.{hint}"
    )
