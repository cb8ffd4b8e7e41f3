"""Write frames to a video file, with everything else of the target carried over."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.copies import add_copies, copied_packets, moved_chapters
from engine.media.decode import exact_seconds
from engine.media.encoder_choice import Encoding, Original, choose_encoding
from engine.media.encoder_trials import silence
from engine.media.encoders import encoders_for
from engine.media.frame_conversion import colour_tags, fitted
from engine.media.os_errors import of_the_disk, refusal_to_grow, unwritable
from engine.media.output_check import check_written, stuff_transport
from engine.media.output_file import VIDEO_FORMATS, WrittenInfo, check_output, written_aside
from engine.media.probe import Source, describe, main_video, open_media
from engine.media.provenance_tags import marked_metadata
from engine.media.pyav import as_fraction, codec_of, open_output, printable
from engine.media.scheduling import ordinary_scheduling
from engine.media.tags import is_metadata, kept_chapters, kept_tags, location_warnings
from engine.media.timecode import advanced
from engine.media.transcoding import FROM_ZERO, TIMELESS, Conversion, add_conversion
from engine.media.trim import Window
from engine.options import EncodeOptions, MetadataMode, Trim
from engine.values import Frame

Observe = Callable[[int], None]
_ISO_FORMATS = frozenset({"mp4", "mov"})
_CLOCKS = {
    "matroska": Fraction(1, 1000),
    "webm": Fraction(1, 1000),
    "flv": Fraction(1, 1000),
    "mpegts": Fraction(1, 90_000),
}
_TURNING = frozenset({"mp4", "mov", "matroska", "webm"})
_DEFAULT, _WHOLE = EncodeOptions(), Trim()


def write_video(
    frames: Iterable[Frame],
    output: Path,
    *,
    like: Path,
    options: EncodeOptions = _DEFAULT,
    trim: Trim = _WHOLE,
    overwrite: bool = False,
    observe: Observe | None = None,
    marks: Mapping[str, str] | None = None,
) -> WrittenInfo:
    """Encodes frames as the picture of `output` and copies the rest of `like` packet by packet.

    Every frame keeps its pts, time base and duration; of a trimmed target, everything moves so
    that the first picture comes when the target's came. Colour tags, display matrix, aspect ratio,
    HDR metadata, sound, subtitles, attachments, chapters and metadata are those of `like`;
    `marks` are further metadata. `observe` is told the number of frames written after each; what
    it raises ends the work. Until the end the file grows beside `output`, under a temporary name
    that no failure leaves behind. Memory does not grow with the length.

    Raises:
        MediaError: `output` cannot be written, or its container cannot hold the codec.
        OutputExists: it is there and `overwrite` is False.
        ParameterError: unknown codec or preset, quality out of range.
    """
    check_output(output, overwrite=overwrite, inputs=(like,))
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise MediaError(f"There is no frame to write to {output}.")
    source = describe(like)
    window = _window(source, first, trim, VIDEO_FORMATS[output.suffix.lower()])
    try:
        with (
            open_media(like) as target,
            written_aside(output, overwrite=overwrite) as aside,
        ):
            with _opened(aside, output, first) as container:
                name = container.format.name
                shown = main_video(target, like)
                original = Original(source.info.codec, shown.codec_context.profile)
                encoding = choose_encoding(first, container.format.name, original, options)
                stream, warnings = _add_picture(
                    container, output, first, source, encoding, window=window
                )
                mode = options.metadata
                tags = _Tags(mode, _skipped(source, first), source.info.frame_rate)
                stream.metadata.update(tags.kept(shown.metadata))
                stream.disposition = shown.disposition
                carried = add_copies(
                    target,
                    container,
                    shown,
                    window=window,
                    unwanted=_unwanted(options),
                    convert=_converter(container, window, options),
                )
                for copy in carried.streams.values():
                    kept = tags.kept(copy.metadata)
                    copy.metadata.clear()
                    copy.metadata.update(kept)
                container.set_chapters(kept_chapters(moved_chapters(target, window), mode))
                own = tags.kept(target.metadata)
                container.metadata.update(marked_metadata(own, marks or {}))
                warnings += tags.warnings()
                if mode == "keep":
                    warnings += location_warnings(target, carried.copies)
                _start(container, output, aside, stream)
                written = _Count(observe)
                frames = itertools.chain((first,), remaining)
                packets = _encoded(stream, encoding, frames, window, written)
                if name in _ISO_FORMATS:
                    packets = _covering(packets, written)
                others = copied_packets(target, carried, window)
                sounds = _mux(container, output, aside, _side_by_side(packets, others))
            if name == "mpegts":
                with _writing(output, aside):
                    stuff_transport(aside)
            check_written(
                aside,
                output,
                container=name,
                frames=written.frames,
                size=encoding.size,
                sounds=sounds,
            )
    except av.FFmpegError as error:
        raise unwritable(output, error) from error
    return WrittenInfo(
        frames=written.frames,
        size=encoding.size,
        codec=codec_of(stream),
        pixel_format=stream.pix_fmt or "",
        warnings=(*warnings, *carried.warnings),
    )


@dataclass
class _Tags:
    """Tags of the target as its output has them, with the time code of the first frame there."""

    mode: MetadataMode
    skipped: Fraction  # seconds of the target before its first frame that is kept
    frame_rate: Fraction
    unread: dict[str, None] = field(default_factory=dict)

    def kept(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of a container or stream that its output takes over."""
        kept = kept_tags(tags, self.mode)
        for key in [key for key in kept if self.skipped and key.lower() == "timecode"]:
            code = advanced(kept[key], self.skipped, self.frame_rate)
            if code is None:
                self.unread[kept.pop(key)] = None
            else:
                kept[key] = code
        return kept

    def warnings(self) -> Iterator[str]:
        """A sentence for each time code that is left out."""
        for code in self.unread:
            yield (
                f"The target's time code {printable(code)} is left out: at "
                f"{float(self.frame_rate):g} frames per second it cannot be advanced to the "
                "beginning of the part."
            )


def _skipped(source: Source, first: Frame) -> Fraction:
    return max(first.pts * first.time_base - source.first_pts * source.time_base, Fraction(0))


def _unwanted(options: EncodeOptions) -> Callable[[Stream], bool]:
    """Which of the target's streams are to be left out."""

    def unwanted(stream: Stream) -> bool:
        if stream.type == "audio":
            return options.audio == "drop"
        return options.metadata == "none" and is_metadata(stream)

    return unwanted


def _converter(
    container: OutputContainer, window: Window, options: EncodeOptions
) -> Callable[[Stream], Conversion | None]:
    """What becomes of the target's streams that the output cannot hold."""

    def convert(stream: Stream) -> Conversion | None:
        if options.audio == "copy":
            return None
        return add_conversion(container, stream, window)

    return convert


@dataclass
class _Count:
    """The frames that were encoded, told to an observer after each, and their seconds."""

    observe: Observe | None
    frames: int = 0
    begin: Fraction = Fraction(0)
    end: Fraction = Fraction(0)

    def add(self, shown: Fraction, length: Fraction) -> None:
        """Counts a frame by when it is shown, and for how long."""
        if not self.frames:
            self.begin = shown
        self.end = max(self.end, shown + length)
        self.frames += 1
        if self.observe is not None:
            self.observe(self.frames)


@contextmanager
def _opened(aside: Path, output: Path, first: Frame) -> Iterator[OutputContainer]:
    """The output being written; closed without its trailer's errors where the work failed."""
    name = VIDEO_FORMATS[aside.suffix.lower()]
    muxing: dict[str, str] = {}
    if name in _ISO_FORMATS:
        muxing["movflags"] = "+faststart"
        muxing["write_tmcd"] = "1"  # a track of time codes, from the metadata
        if first.time_base.numerator == 1:
            # Without it the muxer doubles small time scales, and the time base is another.
            muxing["video_track_timescale"] = str(first.time_base.denominator)
    if name in ("matroska", "webm", "avi"):
        # Sound may begin before zero, by what its encoder needs to start; the picture must not
        # be moved for that. Matroska's blocks can say so, and AVI's sound has no times.
        muxing["avoid_negative_ts"] = "disabled"
    container = open_output(aside, name, muxing)
    try:
        yield container
    except BaseException:
        with suppress(OSError, ValueError, av.FFmpegError):
            container.close()
        raise
    with _writing(output, aside):
        container.close()


@contextmanager
def _writing(output: Path, aside: Path) -> Iterator[None]:
    """Turns a failure to write into a sentence that tells a full disk from a muxer that refuses."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        # Some muxers answer a full disk with "Invalid argument".
        cause = error if of_the_disk(error) else refusal_to_grow(aside)
        if cause is not None:
            raise unwritable(output, cause) from error
        muxer = VIDEO_FORMATS[aside.suffix.lower()]
        remedy = "choose another container, such as .mkv"
        if muxer == "matroska":
            remedy = "convert the target to another format and try again"
        raise MediaError(
            f"{output} could not be written: {muxer} cannot hold what it was given "
            f"({error.strerror}); {remedy}."
        ) from error


def _start(container: OutputContainer, output: Path, aside: Path, stream: VideoStream) -> None:
    """Opens the encoder and writes the header."""
    encoder = stream.codec_context.codec.name  # PyAV 19 forgets it where opening fails
    try:
        with ordinary_scheduling():
            stream.codec_context.open()
    except (OSError, av.FFmpegError) as error:
        raise _refused(stream, encoder, error) from error
    with _writing(output, aside):
        container.start_encoding()


def _encode(stream: VideoStream, picture: VideoFrame | None) -> list[Packet[VideoStream]]:
    try:
        return stream.encode(picture)
    except av.FFmpegError as error:
        raise _refused(stream, stream.codec_context.codec.name, error) from error


def _refused(stream: VideoStream, encoder: str, error: OSError | av.FFmpegError) -> MediaError:
    context = stream.codec_context
    return MediaError(
        f"The encoder {encoder} cannot encode pictures of "
        f"{context.width}x{context.height} as {context.pix_fmt} here ({error.strerror}); choose "
        "another video_codec, such as h264, or see with `faceswap-engine doctor` which work."
    )


def _add_picture(
    container: OutputContainer,
    output: Path,
    first: Frame,
    source: Source,
    encoding: Encoding,
    *,
    window: Window,
) -> tuple[VideoStream, list[str]]:
    """The video stream with everything that must be known before the first frame."""
    name, encoder = container.format.name, encoding.encoder
    warnings, chosen = list(encoding.warnings), dict(encoding.options)
    hdr = _hdr_parameters(source)
    if hdr and encoder.name == "libx265":
        chosen["x265-params"] = ":".join((chosen["x265-params"], *hdr))
    elif hdr:
        warnings.append(f"{encoder.name} does not carry the mastering display metadata.")
    warnings += [
        f"The target's {name} metadata is left out; its colours are those of its base layer."
        for name in source.lost
    ]
    if source.interlaced:
        warnings.append("The target is interlaced; the output is encoded as progressive pictures.")
    silence()
    # Damaged files, and those with a single frame, claim rates that are none.
    rate = source.info.frame_rate.limit_denominator(100_000) or Fraction(1, 100_000)
    clock = _clock(name, first, rate, warnings)
    rate = min(rate, 1 / clock)
    try:
        stream = container.add_stream(encoder.name, rate=rate, options=chosen)
    except ValueError as error:
        raise MediaError(
            f"{output} cannot hold {encoder.name}; {output.suffix} can hold "
            f"{', '.join(encoders_for(container.supported_codecs))}."
        ) from error
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = encoding.size
    context.pix_fmt = encoding.pixel_format
    context.thread_count = 0
    context.time_base = stream.time_base = clock
    if source.sample_aspect_ratio:
        context.sample_aspect_ratio = source.sample_aspect_ratio
    context.color_primaries, context.color_trc = first.colour.primaries, first.colour.transfer
    context.colorspace, context.color_range = colour_tags(first, encoding.pixel_format)
    if name in _ISO_FORMATS and encoder.name == "libx265":
        context.codec_tag = "hvc1"  # the one that Apple's players accept
    if name in FROM_ZERO and first.pts * first.time_base - window.shift < 1:
        # A frame that waits for a later one is decoded before zero, and these containers would
        # move everything to avoid that.
        context.max_b_frames = 0
    if source.display_matrix:
        stream.set_display_matrix(source.display_matrix)
        mirrored = source.info.orientation.mirrored and name not in _ISO_FORMATS
        if name not in _TURNING or mirrored:
            warnings.append(f"{name} cannot say that its picture is to be turned as the target's.")
    return stream, warnings


def _clock(name: str, first: Frame, rate: Fraction, warnings: list[str]) -> Fraction:
    """The time base to encode in."""
    if name == "avi":
        warnings.append("AVI knows no time stamps; frames are placed at a constant rate.")
        return 1 / rate
    clock = _CLOCKS.get(name)
    if clock and (first.time_base / clock).denominator != 1:
        warnings.append(f"{name} counts time in units of {clock} s; times are rounded to them.")
        return clock
    return first.time_base


def _hdr_parameters(source: Source) -> list[str]:
    """x265's parameters for the mastering display and the light level, where the target has any.

    x265 counts chromaticities in 1/50000 and luminances in 1/10000 cd/m2 (SMPTE ST 2086).
    """
    parameters = []
    if source.mastering_display:
        numbers = struct.unpack_from("=22i", source.mastering_display)
        ratios = [Fraction(numbers[n], numbers[n + 1] or 1) for n in range(0, len(numbers) - 2, 2)]
        red, green, blue, white = (
            [round(v * 50_000) for v in ratios[n : n + 2]] for n in (0, 2, 4, 6)
        )
        darkest, brightest = (round(value * 10_000) for value in ratios[8:10])
        points = "".join(
            f"{letter}({x},{y})"
            for letter, (x, y) in (("G", green), ("B", blue), ("R", red), ("WP", white))
        )
        parameters.append(f"master-display={points}L({brightest},{darkest})")
    if source.light_level:
        content, average = struct.unpack_from("=2I", source.light_level)
        parameters.append(f"max-cll={content},{average}")
    return parameters


def _window(source: Source, first: Frame, trim: Trim, container: str) -> Window:
    """What is kept of the target's other streams, and how far everything moves."""
    origin = source.first_pts * source.time_base
    begin = first.pts * first.time_base
    start, end = exact_seconds(trim.start), exact_seconds(trim.end)
    if container in TIMELESS:
        # Its first picture comes at zero, whenever the target's came.
        return Window(
            start=begin if start or begin > 0 else None,
            end=None if end is None else origin + end,
            shift=begin,
        )
    # Containers cannot start before zero, so a target that does is moved as a whole.
    return Window(
        start=begin if start else None,
        end=None if end is None else origin + end,
        shift=begin - max(origin, Fraction(0)) if start or origin < 0 else Fraction(0),
    )


def _encoded(
    stream: VideoStream,
    encoding: Encoding,
    frames: Iterable[Frame],
    window: Window,
    written: _Count,
) -> Iterator[Packet[VideoStream]]:
    """Packets of the encoded frames, each with its frame's duration."""
    base = as_fraction(stream.codec_context.time_base)
    size: tuple[int, int] | None = None
    durations: dict[int, int] = {}
    latest = 0
    for frame in frames:
        size = size or frame.coded_size
        if frame.coded_size != size:
            raise MediaError(
                f"Frame {frame.index + 1} is {frame.coded_size[0]}x{frame.coded_size[1]} and the "
                f"first was {size[0]}x{size[1]}; cut the video where its size changes."
            )
        picture = fitted(frame, encoding.pixel_format, encoding.size)
        ratio = frame.time_base / base
        picture.pts = max(latest, round((frame.pts - window.shift / frame.time_base) * ratio))
        latest = picture.pts + 1  # a coarser clock must not bring two frames to one time
        picture.time_base = base
        durations[picture.pts] = round(frame.duration * ratio)
        for packet in _encode(stream, picture):
            packet.duration = durations.pop(packet.pts or 0, 0)
            yield packet
        written.add(picture.pts * base, frame.duration * frame.time_base)
    for packet in _encode(stream, None):
        packet.duration = durations.pop(packet.pts or 0, 0)
        yield packet


def _covering(
    packets: Iterator[Packet[VideoStream]], written: _Count
) -> Iterator[Packet[VideoStream]]:
    """The same packets, the last one long enough for all frames to be shown.

    MP4 and MOV count their length from decoding time to decoding time. Where frames are reordered
    and the last ones are shown longer than those before, that would end before they do. The last
    packet is then decoded as late as it may, since it must not be shown beyond the end, either.
    """
    held = next(packets, None)
    if held is None:
        return
    first = held.dts or 0
    for packet in packets:
        yield held
        held = packet
    base = as_fraction(held.time_base)
    begin, end = written.begin / base, written.end / base
    held.dts = max(held.dts or 0, round((held.pts or 0) - (begin - first)))
    held.duration = max(held.duration or 0, round(end - begin - (held.dts - first)))
    yield held


def _mux(
    container: OutputContainer, output: Path, aside: Path, packets: Iterator[Packet[Any]]
) -> int:
    """Writes the packets of all streams; returns how many streams of sound have any."""
    sounds = set()
    for packet in packets:
        if packet.stream.type == "audio":
            sounds.add(packet.stream_index)
        with _writing(output, aside):
            container.mux(packet)
    return len(sounds)


def _side_by_side(
    pictures: Iterator[Packet[VideoStream]], others: Iterator[tuple[Fraction, Packet[Any]]]
) -> Iterator[Packet[Any]]:
    """Packets in the order of their times, so that the muxer need not hold many back."""
    waiting = next(others, None)
    for packet in pictures:
        time = (packet.dts or 0) * as_fraction(packet.time_base)
        while waiting is not None and waiting[0] <= time:
            yield waiting[1]
            waiting = next(others, None)
        yield packet
    while waiting is not None:
        yield waiting[1]
        waiting = next(others, None)
