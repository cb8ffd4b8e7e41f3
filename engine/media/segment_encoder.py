"""Encode the frames of a video, a segment at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.codec.context import CodecContext
from av.packet import Packet, PacketSideData, packet_sidedata_type_from_literal
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engine.errors import MediaError
from engine.media.encoder_choice import Encoding
from engine.media.encoder_trials import quiet_svt_av1
from engine.media.frame_conversion import colour_tags, convert_frame
from engine.media.packet_file import EncodedPacket
from engine.media.pyav import as_fraction
from engine.media.scheduling import ordinary_scheduling
from engine.values import Frame

_ALPHA: Final = "matroska_block_additional"  # VP8 and VP9 encode transparency by itself


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderSettings:
    """All that an encoder is told before its first frame; the same for every segment.

    Attributes:
        encoding: encoder, pixel format and size.
        options: FFmpeg's options of the encoder.
        rate: frames per second.
        time_base: unit of the packets' times, in seconds.
        first: first frame of the video, whose colour tags are taken.
        sample_aspect_ratio: of the pixels; None if unknown.
        codec_tag: None for the muxer's default.
        reorders: False to show frames in the order in which they are decoded.
    """

    encoding: Encoding
    options: Mapping[str, str]
    rate: Fraction
    time_base: Fraction
    first: Frame
    sample_aspect_ratio: Fraction | None
    codec_tag: str | None
    reorders: bool

    def apply(self, context: VideoCodecContext) -> None:
        """Set them on an encoder that is not open yet."""
        context.width, context.height = self.encoding.size
        context.pix_fmt = self.encoding.pixel_format
        context.thread_count = 0
        context.framerate = self.rate
        context.time_base = self.time_base
        if self.sample_aspect_ratio:
            context.sample_aspect_ratio = self.sample_aspect_ratio
        colour = self.first.colour
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        context.colorspace, context.color_range = colour_tags(
            self.first, self.encoding.pixel_format
        )
        if self.codec_tag is not None:
            context.codec_tag = self.codec_tag
        if not self.reorders:
            context.max_b_frames = 0


class SegmentEncoder:
    """Encodes segments, each by an encoder of its own with the same settings.

    Args:
        stream: the output's video stream; `open` opens its encoder, which encodes the first
            segment.
        settings: the settings, which the stream's encoder has, too.
        shift: seconds by which frames are moved to the beginning of the output.
        observe: called after each frame.
    """

    def __init__(
        self,
        stream: VideoStream,
        settings: EncoderSettings,
        shift: Fraction,
        observe: Callable[[], None],
    ) -> None:
        self._unused: VideoCodecContext | None = stream.codec_context
        self._flags = stream.codec_context.flags
        self._settings = settings
        self._shift = shift
        self._observe = observe
        self._earliest = 0
        self._extradata: bytes | None = None

    def open(self) -> None:
        """Open the encoder of the output's stream.

        Raises:
            MediaError: The encoder cannot encode such pictures.
        """
        assert self._unused is not None
        self._open(self._unused)
        self._extradata = self._unused.extradata

    def continue_after(self, packets: Iterable[EncodedPacket]) -> Iterator[EncodedPacket]:
        """Yield the packets of a segment that was encoded before; frames go on after it."""
        for packet in packets:
            self._earliest = max(self._earliest, packet.pts + 1)
            yield packet

    def encode(self, frames: Iterable[Frame]) -> Iterator[EncodedPacket]:
        """Yield the packets of a segment, each with the duration of its frame.

        Raises:
            MediaError: A frame has another size than the first of the video, or the encoder fails.
        """
        context = self._next_context()
        size = self._settings.first.coded_size
        encoding, base = self._settings.encoding, self._settings.time_base
        durations: dict[int, int] = {}

        def packets(picture: VideoFrame | None) -> Iterator[EncodedPacket]:
            for packet in self._call(context, picture):
                pts = packet.pts or 0
                yield EncodedPacket(
                    bytes(packet),
                    pts,
                    pts if packet.dts is None else packet.dts,
                    durations.pop(pts, 0),
                    packet.is_keyframe,
                    bytes(packet.get_sidedata(_ALPHA)) if packet.has_sidedata(_ALPHA) else b"",
                )

        for frame in frames:
            if frame.coded_size != size:
                raise MediaError(
                    f"Frame {frame.index + 1} is {frame.coded_size[0]}x{frame.coded_size[1]} and "
                    f"the first was {size[0]}x{size[1]}; cut the video where its size changes."
                )
            picture = convert_frame(frame, encoding.pixel_format, encoding.size)
            ratio = frame.time_base / base
            moved = (frame.pts - self._shift / frame.time_base) * ratio
            picture.pts = max(self._earliest, round(moved))
            self._earliest = picture.pts + 1  # rounding must not give two frames one pts
            picture.time_base = base
            durations[picture.pts] = round(frame.duration * ratio)
            yield from packets(picture)
            self._observe()
        yield from packets(None)

    def _next_context(self) -> VideoCodecContext:
        if self._unused is not None:
            context, self._unused = self._unused, None
            return context
        settings = self._settings
        name = settings.encoding.encoder.name
        quiet_svt_av1()
        context = cast("VideoCodecContext", CodecContext.create(name, "w"))
        context.bit_rate = 0  # as in a stream of an output
        context.options = dict(settings.options)
        settings.apply(context)
        context.flags = self._flags
        self._open(context)
        if context.extradata != self._extradata:
            raise MediaError(
                f"The encoder {name} begins each part with another header, so the parts cannot be "
                "joined; choose another video_codec, such as h264."
            )
        return context

    def _open(self, context: VideoCodecContext) -> None:
        name = context.codec.name  # PyAV 19 forgets it if opening fails
        try:
            with ordinary_scheduling():
                context.open()
        except (OSError, av.FFmpegError) as error:
            raise _encoder_error(context, name, error) from error

    @staticmethod
    def _call(context: VideoCodecContext, picture: VideoFrame | None) -> list[Packet[Any]]:
        try:
            return [*context.encode(picture)]
        except av.FFmpegError as error:
            raise _encoder_error(context, context.codec.name, error) from error


def to_mux(packet: EncodedPacket, stream: VideoStream) -> Packet[VideoStream]:
    """Return a packet of the output's video stream."""
    made = cast("Packet[VideoStream]", Packet(packet.data))
    made.stream = stream
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    made.time_base = as_fraction(stream.codec_context.time_base)
    made.is_keyframe = packet.is_keyframe
    if packet.alpha:
        kind = packet_sidedata_type_from_literal(_ALPHA)
        side: PacketSideData = cast("Any", PacketSideData)(kind, len(packet.alpha))
        side.update(packet.alpha)
        made.set_sidedata(side)
    return made


def _encoder_error(
    context: VideoCodecContext, encoder: str, error: OSError | av.FFmpegError
) -> MediaError:
    return MediaError(
        f"The encoder {encoder} cannot encode pictures of "
        f"{context.width}x{context.height} as {context.pix_fmt} here ({error.strerror}); choose "
        "another video_codec, such as h264, or see with `faceswap-engine doctor` which work."
    )
