"""Re-encode sound and text subtitles that the output's container cannot hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, TypeAlias

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.codec import Codec
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.subtitle import AssSubtitle, SubtitleSet
from numpy.typing import NDArray

from engine.media.containers import Container
from engine.media.pyav import DAMAGE, as_fraction, codec_of
from engine.media.trim import Window

_BITS_PER_CHANNEL = {"aac": 96_000, "libopus": 64_000}
# Audio codecs that are decoded: those of cameras, phones, discs and editing programs. FFmpeg's many
# other decoders are not opened on untrusted files.
_SOUND_CODECS = re.compile(
    r"aac|aac_latm|ac3|eac3|alac|amrnb|amrwb|amr_nb|amr_wb|dts|flac|gsm|gsm_ms|mlp|mp1|mp2|mp3|opus"
    r"|speex|truehd|vorbis|wavpack|wmapro|wmav1|wmav2|nellymoser|pcm_\w+|adpcm_\w+"
)
_SAMPLE_FORMATS = frozenset({"u8", "s16", "s32", "flt", "dbl"})  # NumPy has a dtype for each
_TEXT_CODECS = frozenset({"ass", "mov_text", "ssa", "subrip", "text", "webvtt"})
# Replacement for channel layouts that encoders write in a form few players can read.
_SAME_CHANNELS = {"5.0(side)": "5.0", "5.1(side)": "5.1"}
_BY_COUNT = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
JITTER = Fraction(4, 100)  # seconds; smaller errors of timestamps are not corrected
# Seconds; a longer gap that ends after the end of the file is a damaged timestamp.
_LONGEST_SILENCE = 3600
_LEAD_IN = 1  # seconds that are decoded before the window, as decoders need a start


# Sample format, channel layout and sample rate.
_Shape: TypeAlias = tuple[str, str, int]


class SoundConversion:
    """A re-encoded audio stream that stays in time with the source to a sample.

    Gaps become silence and overlaps are cut, so that sound and video never drift apart.
    `stream` is the output's stream, and `lost` counts the parts with invalid samples and those
    that the encoder refused.
    """

    def __init__(
        self, source: AudioStream, stream: AudioStream, container: Container, window: Window
    ) -> None:
        self.stream, self._source, self._window = stream, source, window
        self.lost = 0
        self._due = window.begin  # seconds of the source up to which sound was written
        self._shape: _Shape | None = None  # of the first frame
        self._count: int | None = None  # samples since the output's zero, at the source's rate
        self._resamplers: dict[_Shape, av.AudioResampler] = {}
        self._container = container
        file = source.container
        assert isinstance(file, InputContainer)
        # Seconds of the source; 0 if the file does not say.
        self._end = Fraction((file.start_time or 0) + (file.duration or 0), 1_000_000)

    @property
    def codec(self) -> str:
        """Name of the output's codec."""
        return codec_of(self.stream)

    def packets(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Yield the output's packets for one of the source; a damaged one becomes silence."""
        if self._is_outside(packet):
            return
        try:
            frames = packet.decode()
        except DAMAGE:
            return
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            yield from self._encode(frame)

    def flush(self) -> Iterator[Packet[Any]]:
        """Yield the last packets: of what decoder, resamplers and encoder still hold."""
        if self._shape is None:
            return
        with suppress(*DAMAGE):
            for frame in self._source.codec_context.decode(None):
                yield from self._encode(frame)
        for resampler in self._resamplers.values():
            for resampled in self._resample(resampler, None):
                yield from self._encode_in_time(resampled)
        yield from self._send(None)

    def _is_outside(self, packet: Packet[Any]) -> bool:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return False
        time = stamp * as_fraction(packet.time_base)
        if self._window.end is not None and time >= self._window.end:
            return True
        return self._shape is None and time < self._due - _LEAD_IN

    def _encode(self, frame: AudioFrame) -> Iterator[Packet[Any]]:
        for converted in self._in_first_shape(frame):
            yield from self._encode_in_time(converted)

    def _encode_in_time(self, frame: AudioFrame) -> Iterator[Packet[Any]]:
        for piece in self._fill_and_cut(frame):
            yield from self._send(piece)

    def _send(self, piece: AudioFrame | None) -> Iterator[Packet[Any]]:
        """Yield the encoder's packets for a frame; one that it refuses is counted and left out."""
        try:
            packets = self.stream.encode(piece)
        except av.FFmpegError:
            self.lost += 1
            return
        yield from self._without_delay(packets)

    def _in_first_shape(self, frame: AudioFrame) -> list[AudioFrame]:
        """Convert a frame to the shape of the first one; broadcasts change their layout."""
        shape = frame.format.name, usual_layout(frame), frame.sample_rate
        if self._shape is None:
            self._shape = shape
        if shape == self._shape:
            return [frame]
        if shape not in self._resamplers:
            self._resamplers[shape] = av.AudioResampler(*self._shape)
        return self._resample(self._resamplers[shape], frame)

    def _resample(self, resampler: av.AudioResampler, frame: AudioFrame | None) -> list[AudioFrame]:
        try:
            return resampler.resample(frame)
        except DAMAGE:
            self.lost += 1
            return []

    def _fill_and_cut(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """Yield silence for a gap before a frame, then the part of it that was not written yet."""
        rate = frame.sample_rate
        samples: NDArray[Any] = frame.to_ndarray()
        if samples.dtype.kind == "f":
            # Encoders refuse NaN and samples that are far too loud.
            self.lost += not np.isfinite(samples).all()
            samples = np.nan_to_num(samples).clip(-1, 1)
        total = frame.samples
        time = self._due
        if frame.pts is not None:
            time = frame.pts * as_fraction(frame.time_base)
        gap = time - self._due
        skipped = 0
        if self._count is None:
            skipped = max(0, round(-gap * rate))
            if skipped >= total:
                return
            yield from self._begin(max(gap, Fraction(0)), time, samples)
        elif gap > JITTER and self._is_credible(gap, time):
            yield from self._silence(round(gap * rate), samples)
        elif gap < -JITTER:
            skipped = min(total, round(-gap * rate))
        kept = total - skipped
        if self._window.end is not None:
            kept = min(kept, round((self._window.end - self._due) * rate))
        if kept > 0:
            width = 1 if frame.format.is_planar else len(frame.layout.channels)
            cut = samples[:, skipped * width : (skipped + kept) * width]
            yield self._next(np.ascontiguousarray(cut), kept)

    def _is_credible(self, gap: Fraction, time: Fraction) -> bool:
        """Return True if a gap before `time` is silence, not a damaged timestamp."""
        return gap <= _LONGEST_SILENCE or time <= self._end

    def _begin(self, late: Fraction, time: Fraction, like: NDArray[Any]) -> Iterator[AudioFrame]:
        """Begin sound that is `late` seconds late; yield silence if the container has no times."""
        assert self._shape is not None
        rate = self._shape[2]
        if self._container.stores_times:
            self._due += late
        self._count = round((self._due - self._window.shift) * rate)
        if not self._container.stores_times and self._is_credible(late, time):
            yield from self._silence(round(late * rate), like)

    def _silence(self, total: int, like: NDArray[Any]) -> Iterator[AudioFrame]:
        assert self._shape is not None
        name, layout, rate = self._shape
        width = 1 if name.endswith("p") else len(av.AudioLayout(layout).channels)
        for length in _chunks(total, rate):
            quiet = 128 if name.startswith("u8") else 0
            yield self._next(np.full((like.shape[0], length * width), quiet, like.dtype), length)

    def _next(self, samples: NDArray[Any], length: int) -> AudioFrame:
        """Return samples as the encoder's next frame, directly after the last one."""
        assert self._shape is not None
        assert self._count is not None
        name, layout, rate = self._shape
        frame = AudioFrame.from_ndarray(samples, format=name, layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = self._count
        self._count += length
        self._due += Fraction(length, rate)
        return frame

    def _without_delay(self, packets: list[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Yield packets without those of the encoder's delay, if the container cannot hold them."""
        for packet in packets:
            if not self._container.stores_negative_times and (packet.pts or 0) < 0:
                continue
            packet.stream = self.stream
            yield packet


class TextConversion:
    """A re-encoded stream of text subtitles; its packets already have the output's times.

    `stream` is the output's stream, and `lost` counts the subtitles that could not be decoded or
    encoded.
    """

    def __init__(self, source: Stream, stream: Stream) -> None:
        self.stream, self._source = stream, source
        self.lost = 0

    @property
    def codec(self) -> str:
        """Name of the output's codec."""
        return codec_of(self.stream)

    def packets(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Yield the output's packets for one of the source."""
        decoder, encoder = self._source.codec_context, self.stream.codec_context
        assert isinstance(decoder, SubtitleCodecContext)
        assert isinstance(encoder, SubtitleCodecContext)
        base = as_fraction(packet.time_base)
        begin, length = (packet.pts or 0) * base, (packet.duration or 0) * base
        try:
            decoded = decoder.decode2(packet)
        except DAMAGE:
            self.lost += 1
            return
        for line in decoded.rects if decoded is not None else ():
            if not isinstance(line, AssSubtitle) or not line.ass:
                continue
            milliseconds = max(1, round(length * 1000))
            text = SubtitleSet.create(text=line.ass, start=0, end=milliseconds)
            try:
                encoded = encoder.encode_subtitle(text)
            except av.FFmpegError:
                self.lost += 1
                continue
            encoded.stream, encoded.time_base = self.stream, Fraction(1, 1000)
            encoded.pts = encoded.dts = round(begin * 1000)
            encoded.duration = milliseconds
            yield encoded

    def flush(self) -> Iterator[Packet[Any]]:
        """Return no packets: nothing is held back."""
        return iter(())


Conversion: TypeAlias = SoundConversion | TextConversion


def add_conversion(
    muxer: OutputContainer, container: Container, stream: Stream, window: Window
) -> Conversion | None:
    """Add a stream to `muxer` for the re-encoded `stream` of the target.

    Return None if re-encoding is impossible: there is no decoder or no encoder, or the subtitles
    are bitmaps.
    """
    codec = codec_of(stream)
    try:
        if isinstance(stream, AudioStream) and _SOUND_CODECS.fullmatch(codec):
            return _add_sound(muxer, container, stream, window)
        if codec in _TEXT_CODECS and container.text_codec is not None:
            return _add_text(muxer, container.text_codec, stream)
    except (av.FFmpegError, ValueError):
        pass
    return None


def _add_sound(
    muxer: OutputContainer, container: Container, stream: AudioStream, window: Window
) -> Conversion | None:
    name = container.sound_codec
    codec, context = Codec(name, "w"), stream.codec_context
    if not context.sample_rate or not context.layout.channels:
        return None
    # Damaged files have no sample format.
    if context.format is None or context.format.name.removesuffix("p") not in _SAMPLE_FORMATS:
        return None
    rate = _rate(codec, context.sample_rate)
    kind = _sample_format(codec, context.format.name)
    layout = _encodable_layout(name, usual_layout(context), rate, kind)
    if layout is None:
        return None
    target = muxer.add_stream(name, rate=rate)
    assert isinstance(target, AudioStream)
    target.codec_context.layout, target.codec_context.format = layout, kind
    if name in _BITS_PER_CHANNEL:
        channels = len(target.codec_context.layout.channels)
        target.codec_context.bit_rate = _BITS_PER_CHANNEL[name] * channels
    target.codec_context.time_base = target.time_base = Fraction(1, rate)
    _copy_tags(target, stream)
    return SoundConversion(stream, target, container, window)


def _add_text(muxer: OutputContainer, codec: str, stream: Stream) -> Conversion:
    decoder = stream.codec_context
    assert isinstance(decoder, SubtitleCodecContext)
    decoder.open(strict=False)  # creates the header that the encoder needs
    target = muxer.add_stream(codec)
    assert isinstance(target.codec_context, SubtitleCodecContext)
    target.codec_context.subtitle_header = decoder.subtitle_header
    target.codec_context.time_base = target.time_base = Fraction(1, 1000)
    _copy_tags(target, stream)
    return TextConversion(stream, target)


def _copy_tags(target: Stream, stream: Stream) -> None:
    target.disposition = stream.disposition
    target.metadata.update(stream.metadata)


def usual_layout(of: Any) -> str:
    """Return the channel layout of a frame or codec; the usual one if only a count is known."""
    name: str = of.layout.name
    if re.fullmatch(r"\d+ channels.*", name):
        return _BY_COUNT.get(len(of.layout.channels), name)
    return name


def _rate(codec: Codec, rate: int) -> int:
    """Return the encoder's lowest sample rate not below the source's, or its highest."""
    rates = codec.audio_rates or [rate]
    return min((one for one in rates if one >= rate), default=max(rates))


def _sample_format(codec: Codec, source: str) -> str:
    """Return the encoder's sample format that loses the least of the source's."""
    offered = [described.name for described in codec.audio_formats or ()]
    deep = source.removesuffix("p") in ("s32", "flt", "dbl", "s64")
    return offered[-1] if deep else offered[0]


def _encodable_layout(name: str, layout: str, rate: int, kind: str) -> str | None:
    """Return the channel layout nearest to the source's with which the encoder opens."""
    channels = len(av.AudioLayout(layout).channels)
    for one in (_SAME_CHANNELS.get(layout, layout), _BY_COUNT.get(channels), "stereo"):
        if one is None:
            continue
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, av.AudioCodecContext)
        context.layout, context.format, context.sample_rate = one, kind, rate
        try:
            context.open()
        except (av.FFmpegError, ValueError):
            continue
        return one
    return None


def _chunks(total: int, most: int) -> Iterator[int]:
    while total > 0:
        yield min(total, most)
        total -= most
