"""Write frames to a video file and carry the target's other streams over."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.containers import Container, container_of
from engine.media.copies import StreamCopies, add_copies, chapters_in, copied_packets
from engine.media.decode import exact_seconds
from engine.media.encoder_choice import Encoding, Original, choose_encoding
from engine.media.encoder_trials import quiet_svt_av1
from engine.media.encoders import encoders_for
from engine.media.os_errors import append_error, is_disk_error, write_error
from engine.media.output_check import check_video, pad_mpegts
from engine.media.output_file import WrittenInfo, check_output, partial_output
from engine.media.packet_file import EncodedPacket
from engine.media.probe import Source, describe, main_video, open_media
from engine.media.provenance_tags import add_provenance
from engine.media.pyav import as_fraction, codec_of, open_output, printable
from engine.media.segment_encoder import EncoderSettings, SegmentEncoder, to_mux
from engine.media.segments import (
    Segments,
    UnkeptSegments,
    join_segments,
    segment_length,
    split_frames,
)
from engine.media.tags import is_metadata, location_warnings, select_chapters, select_tags
from engine.media.timecode import advance_time_code
from engine.media.transcoding import Conversion, add_conversion
from engine.media.trim import Window
from engine.options import EncodeOptions, MetadataMode, Trim
from engine.values import Frame

Observe = Callable[[int], None]
_DEFAULT, _WHOLE = EncodeOptions(), Trim()
_UNKNOWN_RATE = Fraction(1, 100_000)  # damaged files and single frames have no true frame rate


def write_video(
    frames: Iterable[Frame],
    output: Path,
    *,
    like: Path,
    options: EncodeOptions = _DEFAULT,
    trim: Trim = _WHOLE,
    overwrite: bool = False,
    observe: Observe | None = None,
    provenance: Mapping[str, str] | None = None,
    segments: Segments | None = None,
    first: Frame | None = None,
) -> WrittenInfo:
    """Encode frames as the video stream of `output` and copy all other streams of `like`.

    Each frame keeps its pts, time base and duration. If the target is trimmed, all streams move so
    that the first frame has the time of the target's first frame. Colour tags, display matrix,
    sample aspect ratio, HDR metadata, sound, subtitles, attachments, chapters and metadata are
    those of `like`. The output is written as a partial output beside `output`; no failure leaves
    it behind. Memory does not grow with the length.

    Args:
        frames: decoded frames in display order, all of one size.
        output: file to write; its suffix chooses the container.
        like: the target, from which everything but the frames is taken.
        options: codec, quality, pixel format, sound and metadata.
        trim: the part of `like` that the frames come from.
        overwrite: replace an existing file.
        observe: called with the number of written frames after each; an exception from it stops
            the work.
        provenance: further metadata for the container.
        segments: keeps finished segments, and yields those that were finished earlier, after
            which `frames` go on; None keeps none.
        first: first frame of the video; None takes that of `frames`.

    Raises:
        MediaError: `output` cannot be written, or its container cannot hold the codec.
        OutputExists: `output` exists and `overwrite` is False.
        ParameterError: unknown codec or preset, or quality out of range.
    """
    check_output(output, overwrite=overwrite, inputs=(like,))
    if first is None:
        remaining = iter(frames)
        first = next(remaining, None)
        if first is None:
            raise MediaError(f"There is no frame to write to {output}; give at least one.")
        frames = itertools.chain((first,), remaining)
    container = container_of(output)
    source = describe(like)
    segments = segments or UnkeptSegments(segment_length(source.info.frame_rate))
    window = _window(source, first, trim, container)
    try:
        with (
            open_media(like) as target,
            partial_output(output, overwrite=overwrite) as partial,
        ):
            with _open_muxer(partial, output, first) as muxer:
                video = main_video(target, like)
                original = Original(source.info.codec, video.codec_context.profile)
                encoding = choose_encoding(first, container, original, options)
                settings, warnings = _encoder_settings(
                    container, first, source, encoding, begin=_begin(first, window)
                )
                stream = _add_video(muxer, output, source, settings)
                stream.disposition = video.disposition
                copies = add_copies(
                    target,
                    muxer,
                    container,
                    video,
                    window=window,
                    is_dropped=_stream_filter(options),
                    convert=_converter(muxer, container, window, options),
                )
                skipped = _skipped_seconds(source, first)
                tags = _OutputTags(options.metadata, skipped, source.info.frame_rate)
                stream.metadata.update(tags.select(video.metadata))
                _add_stream_metadata(copies, tags)
                metadata = tags.select(target.metadata)
                muxer.metadata.update(
                    add_provenance(metadata, provenance or {}, container.provenance_tag)
                )
                muxer.set_chapters(select_chapters(chapters_in(target, window), tags.mode))
                warnings += tags.warnings()
                if tags.mode == "keep":
                    warnings += location_warnings(target, copies.copies)
                written = _WrittenFrames(observe)
                encoder = SegmentEncoder(stream, settings, window.shift, written.count_frame)
                encoder.open()
                with _explain_write_errors(output, partial):
                    muxer.start_encoding()
                packets = join_segments(_all_segments(frames, encoder, segments, written))
                if container.length_by_dts:
                    packets = _extend_last_packet(packets)
                video_packets = (to_mux(packet, stream) for packet in packets)
                others = copied_packets(target, copies, window)
                sounds = _mux(muxer, output, partial, _interleave(video_packets, others))
            if container.needs_padding:
                with _explain_write_errors(output, partial):
                    pad_mpegts(partial)
            check_video(
                partial,
                output,
                container=container,
                frames=written.count,
                size=encoding.size,
                sounds=sounds,
            )
    except av.FFmpegError as error:
        raise write_error(output, error) from error
    return WrittenInfo(
        frames=written.count,
        size=encoding.size,
        codec=codec_of(stream),
        pixel_format=stream.pix_fmt or "",
        warnings=(*warnings, *copies.warnings),
    )


def encode_segment(
    frames: Iterable[Frame],
    output: Path,
    *,
    like: Path,
    options: EncodeOptions,
    trim: Trim,
    segments: Segments,
    first: Frame,
) -> None:
    """Encode one segment of what `write_video` writes, with the same arguments, and keep it.

    `frames` are those of the segment. Nothing is written to `output`.

    Raises:
        MediaError: `like` cannot be read, or the encoder fails.
        ParameterError: unknown codec or preset, or quality out of range.
    """
    container, source = container_of(output), describe(like)
    window = _window(source, first, trim, container)
    with open_media(like) as target:
        profile = main_video(target, like).codec_context.profile
    encoding = choose_encoding(first, container, Original(source.info.codec, profile), options)
    settings, _ = _encoder_settings(container, first, source, encoding, begin=_begin(first, window))
    with open_output(io.BytesIO(), container.name, {}) as muxer:
        stream = _add_video(muxer, output, source, settings)
        encoder = SegmentEncoder(stream, settings, window.shift, lambda: None)
        encoder.open()
        for _ in segments.keep(encoder.encode(frames)):
            pass


@dataclass
class _OutputTags:
    """Selects the target's tags for the output and advances its time code to the first frame."""

    mode: MetadataMode
    skipped: Fraction  # seconds of the target before the output's first frame
    frame_rate: Fraction
    dropped_codes: dict[str, None] = field(default_factory=dict)

    def select(self, tags: Mapping[str, str]) -> dict[str, str]:
        """Return the tags of a container or stream that go to the output."""
        selected = select_tags(tags, self.mode)
        for key in [key for key in selected if self.skipped and key.lower() == "timecode"]:
            code = advance_time_code(selected[key], self.skipped, self.frame_rate)
            if code is None:
                self.dropped_codes[selected.pop(key)] = None
            else:
                selected[key] = code
        return selected

    def warnings(self) -> Iterator[str]:
        """Yield a warning for each time code that is left out."""
        for code in self.dropped_codes:
            yield (
                f"The target's time code {printable(code)} is left out: at "
                f"{float(self.frame_rate):g} frames per second it cannot be advanced to the "
                "beginning of the part."
            )


def _add_stream_metadata(copies: StreamCopies, tags: _OutputTags) -> None:
    """Set the tags of all streams except the video."""
    for copy in copies.streams.values():
        selected = tags.select(copy.metadata)
        copy.metadata.clear()
        copy.metadata.update(selected)


def _skipped_seconds(source: Source, first: Frame) -> Fraction:
    return max(first.pts * first.time_base - source.first_pts * source.time_base, Fraction(0))


def _stream_filter(options: EncodeOptions) -> Callable[[Stream], bool]:
    """Return a predicate for the target's streams that are left out on request."""

    def is_dropped(stream: Stream) -> bool:
        if stream.type == "audio":
            return options.audio == "drop"
        return options.metadata == "none" and is_metadata(stream)

    return is_dropped


def _converter(
    muxer: OutputContainer, container: Container, window: Window, options: EncodeOptions
) -> Callable[[Stream], Conversion | None]:
    """Return a function that adds a re-encoded stream for one that the output cannot hold."""

    def convert(stream: Stream) -> Conversion | None:
        if options.audio == "copy":
            return None
        return add_conversion(muxer, container, stream, window)

    return convert


@dataclass
class _WrittenFrames:
    """Count of the encoded frames, which reports each to an observer."""

    observe: Observe | None
    count: int = 0

    def count_frame(self) -> None:
        self.count += 1
        if self.observe is not None:
            self.observe(self.count)

    def counted(self, packets: Iterable[EncodedPacket]) -> Iterator[EncodedPacket]:
        """Yield packets, and count a frame for each."""
        for packet in packets:
            yield packet
            self.count_frame()


def _all_segments(
    frames: Iterable[Frame], encoder: SegmentEncoder, segments: Segments, written: _WrittenFrames
) -> Iterator[Iterator[EncodedPacket]]:
    """Yield the packets of each segment: first of those that are finished, then of new ones."""
    for finished in segments.finished():
        yield written.counted(encoder.continue_after(finished))
    for part in split_frames(frames, segments.length):
        yield segments.keep(encoder.encode(part))


@contextmanager
def _open_muxer(partial: Path, output: Path, first: Frame) -> Iterator[OutputContainer]:
    """Open the partial output; after a failure, close it without raising errors of the trailer."""
    container = container_of(output)
    settings = dict(container.muxer_options)
    if container.sets_timescale and first.time_base.numerator == 1:
        settings["video_track_timescale"] = str(first.time_base.denominator)
    muxer = open_output(partial, container.name, settings)
    try:
        yield muxer
    except BaseException:
        with suppress(OSError, ValueError, av.FFmpegError):
            muxer.close()
        raise
    with _explain_write_errors(output, partial):
        muxer.close()


@contextmanager
def _explain_write_errors(output: Path, partial: Path) -> Iterator[None]:
    """Turn a failure to write into an error that separates a full disk from a refusing muxer."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        # Some muxers report a full disk as "Invalid argument".
        cause = error if is_disk_error(error) else append_error(partial)
        if cause is not None:
            raise write_error(output, cause) from error
        muxer = container_of(output).name
        remedy = "choose another container, such as .mkv"
        if muxer == "matroska":
            remedy = "convert the target to another format and try again"
        raise MediaError(
            f"{output} could not be written: {muxer} refuses one of the streams "
            f"({error.strerror}); {remedy}."
        ) from error


def _begin(first: Frame, window: Window) -> Fraction:
    """Return the time of the first frame in seconds of the output."""
    return first.pts * first.time_base - window.shift


def _encoder_settings(
    container: Container, first: Frame, source: Source, encoding: Encoding, *, begin: Fraction
) -> tuple[EncoderSettings, list[str]]:
    """Return all that the encoder is told before the first frame, and warnings."""
    options, hdr_warnings = _with_hdr(encoding, source)
    rate = source.info.frame_rate.limit_denominator(100_000) or _UNKNOWN_RATE
    time_base, time_warnings = _time_base(container, first, rate)
    is_tagged = container.hevc_tag is not None and encoding.encoder.name == "libx265"
    settings = EncoderSettings(
        encoding=encoding,
        options=options,
        rate=min(rate, 1 / time_base),
        time_base=time_base,
        first=first,
        sample_aspect_ratio=source.sample_aspect_ratio or None,
        codec_tag=container.hevc_tag if is_tagged else None,
        # Reordered frames are decoded before zero, and the muxer would move all streams for it.
        reorders=container.stores_negative_times or begin >= 1,
    )
    warnings = [*encoding.warnings, *hdr_warnings, *_source_warnings(source), *time_warnings]
    if source.display_matrix and not _stores_orientation(container, source):
        warnings.append(f"{container.name} cannot store how the target is rotated or mirrored.")
    return settings, warnings


def _add_video(
    muxer: OutputContainer, output: Path, source: Source, settings: EncoderSettings
) -> VideoStream:
    """Add the video stream with its settings."""
    encoder = settings.encoding.encoder
    quiet_svt_av1()
    try:
        stream = muxer.add_stream(encoder.name, rate=settings.rate, options=dict(settings.options))
    except ValueError as error:
        raise MediaError(
            f"{output} cannot hold {encoder.name}; {output.suffix} can hold "
            f"{', '.join(encoders_for(muxer.supported_codecs))}."
        ) from error
    assert isinstance(stream, VideoStream)
    settings.apply(stream.codec_context)
    stream.time_base = settings.time_base
    if source.display_matrix:
        stream.set_display_matrix(source.display_matrix)
    return stream


def _with_hdr(encoding: Encoding, source: Source) -> tuple[dict[str, str], list[str]]:
    """Return the encoder's options with the target's static HDR metadata, and warnings."""
    settings, parameters = dict(encoding.options), _x265_hdr_parameters(source)
    if not parameters:
        return settings, []
    if encoding.encoder.name != "libx265":
        return settings, [f"{encoding.encoder.name} does not carry the mastering display metadata."]
    settings["x265-params"] = ":".join((settings["x265-params"], *parameters))
    return settings, []


def _source_warnings(source: Source) -> Iterator[str]:
    for name in source.lost:
        yield f"The target's {name} metadata is left out; its colours are those of its base layer."
    if source.interlaced:
        yield "The target is interlaced; the output is encoded as progressive pictures."


def _stores_orientation(container: Container, source: Source) -> bool:
    if source.info.orientation.mirrored:
        return container.display_matrix == "all"
    return container.display_matrix != "none"


def _time_base(container: Container, first: Frame, rate: Fraction) -> tuple[Fraction, list[str]]:
    """Return the time base to encode in, and warnings."""
    if not container.stores_times:
        name = container.name.upper()
        return 1 / rate, [f"{name} stores no timestamps; frames are placed at a constant rate."]
    own, fixed = first.time_base, container.time_base
    if fixed is None or (own / fixed).denominator == 1:
        return own, []
    return fixed, [
        f"The time base of {container.name} is {fixed} s; times are rounded to multiples of it."
    ]


def _x265_hdr_parameters(source: Source) -> list[str]:
    """Return x265's parameters for the target's mastering display and content light level.

    x265 takes chromaticities in units of 1/50000 and luminances in 1/10000 cd/m2 (SMPTE ST 2086).
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


def _window(source: Source, first: Frame, trim: Trim, container: Container) -> Window:
    """Return the part of the target's other streams to keep, and by how much all streams move."""
    origin = source.first_pts * source.time_base
    begin = first.pts * first.time_base
    start, end = exact_seconds(trim.start), exact_seconds(trim.end)
    if not container.stores_times:
        # The first frame is always shown at zero.
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


def _extend_last_packet(packets: Iterator[EncodedPacket]) -> Iterator[EncodedPacket]:
    """Yield the packets, the last one long enough for all frames to be shown.

    MP4 and MOV measure the length of a track between decoding times. If frames are reordered and
    the last ones are shown longer than those before, the track would end too early. The last packet
    then gets the latest possible decoding time, as it must not be shown beyond the end, either.
    """
    last = next(packets, None)
    if last is None:
        return
    first, begin, end = last.dts, last.pts, last.pts + last.duration
    for packet in packets:
        yield last
        last = packet
        end = max(end, packet.pts + packet.duration)
    dts = max(last.dts, last.pts - (begin - first))
    yield replace(last, dts=dts, duration=max(last.duration, end - begin - (dts - first)))


def _mux(
    muxer: OutputContainer, output: Path, partial: Path, packets: Iterator[Packet[Any]]
) -> int:
    """Write the packets of all streams; return the number of audio streams with packets."""
    sounds = set()
    for packet in packets:
        if packet.stream.type == "audio":
            sounds.add(packet.stream_index)
        with _explain_write_errors(output, partial):
            muxer.mux(packet)
    return len(sounds)


def _interleave(
    video: Iterator[Packet[VideoStream]], others: Iterator[tuple[Fraction, Packet[Any]]]
) -> Iterator[Packet[Any]]:
    """Yield packets in order of time, so that the muxer buffers few of them."""
    waiting = next(others, None)
    for packet in video:
        time = (packet.dts or 0) * as_fraction(packet.time_base)
        while waiting is not None and waiting[0] <= time:
            yield waiting[1]
            waiting = next(others, None)
        yield packet
    while waiting is not None:
        yield waiting[1]
        waiting = next(others, None)
