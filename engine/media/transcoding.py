"""Encode anew the sound and the text subtitles that an output's container cannot hold."""

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

from engine.media.pyav import DAMAGE, as_fraction, codec_of
from engine.media.trim import Window

# The sound and the text that each container, by FFmpeg's name, is given. What stands for all others
# is known to every player; FLAC and PCM lose nothing.
_SOUNDS = {"avi": "pcm_s16le", "matroska": "flac", "nut": "flac", "webm": "libopus"}
_USUAL_SOUND = "aac"
_TEXTS = {"matroska": "subrip", "mov": "mov_text", "mp4": "mov_text", "webm": "webvtt"}
_BITS_PER_CHANNEL = {"aac": 96_000, "libopus": 64_000}
# Codecs of sound that are decoded: those of cameras, phones, discs and editing programs. The others
# in FFmpeg are for files that one trusts.
_SOUND_CODECS = re.compile(
    r"aac|aac_latm|ac3|eac3|alac|amrnb|amrwb|amr_nb|amr_wb|dts|flac|gsm|gsm_ms|mlp|mp1|mp2|mp3|opus"
    r"|speex|truehd|vorbis|wavpack|wmapro|wmav1|wmav2|nellymoser|pcm_\w+|adpcm_\w+"
)
_SAMPLE_FORMATS = frozenset({"u8", "s16", "s32", "flt", "dbl"})  # those that arrays can hold
_TEXT_CODECS = frozenset({"ass", "mov_text", "ssa", "subrip", "text", "webvtt"})
# Containers that know no time before zero, where the first samples of an encoder's delay would lie.
FROM_ZERO = frozenset({"avi", "flv", "mpegts", "nut"})
# Containers whose sound has no times: where there is none it must be silent from zero on.
TIMELESS = frozenset({"avi"})
# Layouts that an encoder writes in a form few players know, and the ones of the same channels.
_SAME_CHANNELS = {"5.0(side)": "5.0", "5.1(side)": "5.1"}
_BY_COUNT = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
JITTER = Fraction(4, 100)  # seconds by which time stamps may stray before sound is moved
# Seconds; a longer gap that ends behind the end of the file is a damaged time stamp.
_LONGEST_SILENCE = 3600
_LEAD_IN = 1  # seconds before a part that a decoder is given, to have its state right


class SoundConversion:
    """One stream of sound, decoded and encoded anew, in time with the source to a sample.

    Gaps become silence and overlaps are cut, so that sound and picture never drift apart.
    """

    def __init__(self, stream: AudioStream, target: AudioStream, window: Window) -> None:
        self.stream, self._source, self._window = target, stream, window
        self.lost = 0  # pieces that are no sound, or that the encoder refused
        # What comes before the output's beginning is not heard.
        self._due = window.begin
        self._shape: tuple[str, str, int] | None = None
        self._count: int | None = None  # of samples since the output's zero, at the source's rate
        self._resamplers: dict[tuple[str, str, int], av.AudioResampler] = {}
        self._drops_delay = target.container.format.name in FROM_ZERO
        self._is_timeless = target.container.format.name in TIMELESS
        source = stream.container
        assert isinstance(source, InputContainer)
        # In the source's seconds, as far as it tells.
        self._end = Fraction((source.start_time or 0) + (source.duration or 0), 1_000_000)

    @property
    def codec(self) -> str:
        """The name of the codec that it becomes."""
        return codec_of(self.stream)

    def packets(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """Packets of the output for one of the source; damaged ones become silence."""
        if self._is_outside(packet):
            return
        try:
            frames = packet.decode()
        except DAMAGE:
            return
        for frame in frames:
            assert isinstance(frame, AudioFrame)
            yield from self._encoded(frame)

    def rest(self) -> Iterator[Packet[Any]]:
        """Return what the decoder, the resamplers and the encoder still hold."""
        if self._shape is None:
            return
        with suppress(*DAMAGE):
            for frame in self._source.codec_context.decode(None):
                yield from self._encoded(frame)
        for resampler in self._resamplers.values():
            for even in self._resampled(resampler, None):
                yield from self._fitted(even)
        yield from self._sent(None)

    def _is_outside(self, packet: Packet[Any]) -> bool:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return False
        time = stamp * as_fraction(packet.time_base)
        if self._window.end is not None and time >= self._window.end:
            return True
        return self._shape is None and time < self._due - _LEAD_IN

    def _encoded(self, frame: AudioFrame) -> Iterator[Packet[Any]]:
        for even in self._in_one_shape(frame):
            yield from self._fitted(even)

    def _fitted(self, frame: AudioFrame) -> Iterator[Packet[Any]]:
        for piece in self._placed(frame):
            yield from self._sent(piece)

    def _sent(self, piece: AudioFrame | None) -> Iterator[Packet[Any]]:
        """Return the encoder's packets for a piece; what it refuses is counted and left out."""
        try:
            packets = self.stream.encode(piece)
        except av.FFmpegError:
            self.lost += 1
            return
        yield from self._kept(packets)

    def _in_one_shape(self, frame: AudioFrame) -> list[AudioFrame]:
        """The frame in the format, layout and rate of the first; broadcasts change theirs."""
        shape = frame.format.name, usual_layout(frame), frame.sample_rate
        if self._shape is None:
            self._shape = shape
        if shape == self._shape:
            return [frame]
        if shape not in self._resamplers:
            self._resamplers[shape] = av.AudioResampler(*self._shape)
        return self._resampled(self._resamplers[shape], frame)

    def _resampled(
        self, resampler: av.AudioResampler, frame: AudioFrame | None
    ) -> list[AudioFrame]:
        try:
            return resampler.resample(frame)
        except DAMAGE:
            self.lost += 1
            return []

    def _placed(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        """The part of a frame that is due, behind silence where some is missing before it."""
        rate = frame.sample_rate
        samples: NDArray[Any] = frame.to_ndarray()
        if samples.dtype.kind == "f":
            # Encoders refuse what is no number or far too loud.
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
            yield from self._lead(max(gap, Fraction(0)), time, samples)
        elif gap > JITTER and self._is_true(gap, time):
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

    def _is_true(self, gap: Fraction, time: Fraction) -> bool:
        """Whether there is no sound for so long, and not a damaged time stamp."""
        return gap <= _LONGEST_SILENCE or time <= self._end

    def _lead(self, late: Fraction, time: Fraction, like: NDArray[Any]) -> Iterator[AudioFrame]:
        """Begin the sound that comes `late`, behind silence where its container has no times."""
        assert self._shape is not None
        rate = self._shape[2]
        if not self._is_timeless:
            self._due += late
        self._count = round((self._due - self._window.shift) * rate)
        if self._is_timeless and self._is_true(late, time):
            yield from self._silence(round(late * rate), like)

    def _silence(self, total: int, like: NDArray[Any]) -> Iterator[AudioFrame]:
        assert self._shape is not None
        name, layout, rate = self._shape
        width = 1 if name.endswith("p") else len(av.AudioLayout(layout).channels)
        for length in _chunks(total, rate):
            quiet = 128 if name.startswith("u8") else 0
            yield self._next(np.full((like.shape[0], length * width), quiet, like.dtype), length)

    def _next(self, samples: NDArray[Any], length: int) -> AudioFrame:
        """The next frame for the encoder, right behind the last one."""
        assert self._shape is not None
        assert self._count is not None
        name, layout, rate = self._shape
        frame = AudioFrame.from_ndarray(samples, format=name, layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = self._count
        self._count += length
        self._due += Fraction(length, rate)
        return frame

    def _kept(self, packets: list[Packet[Any]]) -> Iterator[Packet[Any]]:
        for packet in packets:
            if self._drops_delay and (packet.pts or 0) < 0:
                continue
            packet.stream = self.stream
            yield packet


class TextConversion:
    """One stream of text subtitles, written anew; its packets come with the output's times."""

    def __init__(self, stream: Stream, target: Stream) -> None:
        self.stream, self._source = target, stream
        self.lost = 0  # lines that cannot be read or that the encoder refused

    @property
    def codec(self) -> str:
        """The name of the codec that it becomes."""
        return codec_of(self.stream)

    def packets(self, packet: Packet[Any]) -> Iterator[Packet[Any]]:
        """The output's packet for one of the source."""
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
                made = encoder.encode_subtitle(text)
            except av.FFmpegError:
                self.lost += 1
                continue
            made.stream, made.time_base = self.stream, Fraction(1, 1000)
            made.pts = made.dts = round(begin * 1000)
            made.duration = milliseconds
            yield made

    def rest(self) -> Iterator[Packet[Any]]:
        """Nothing: every line is written as it comes."""
        return iter(())


Conversion: TypeAlias = SoundConversion | TextConversion


def add_conversion(output: OutputContainer, stream: Stream, window: Window) -> Conversion | None:
    """Adds a stream to `output` that holds anew what it cannot hold of `stream` as it is.

    None where there is nothing that both could be: no decoder, no encoder, or pictures for text.
    """
    codec = codec_of(stream)
    try:
        if isinstance(stream, AudioStream) and _SOUND_CODECS.fullmatch(codec):
            return _add_sound(output, stream, window)
        if codec in _TEXT_CODECS and output.format.name in _TEXTS:
            return _add_text(output, stream)
    except (av.FFmpegError, ValueError):
        pass
    return None


def _add_sound(output: OutputContainer, stream: AudioStream, window: Window) -> Conversion | None:
    name = _SOUNDS.get(output.format.name, _USUAL_SOUND)
    codec, context = Codec(name, "w"), stream.codec_context
    if not context.sample_rate or not context.layout.channels:
        return None
    # Damaged files name no format at all.
    if context.format is None or context.format.name.removesuffix("p") not in _SAMPLE_FORMATS:
        return None
    rate = _rate(codec, context.sample_rate)
    kind = _sample_format(codec, context.format.name)
    layout = _encodable(name, usual_layout(context), rate, kind)
    if layout is None:
        return None
    target = output.add_stream(name, rate=rate)
    assert isinstance(target, AudioStream)
    target.codec_context.layout, target.codec_context.format = layout, kind
    if name in _BITS_PER_CHANNEL:
        channels = len(target.codec_context.layout.channels)
        target.codec_context.bit_rate = _BITS_PER_CHANNEL[name] * channels
    target.codec_context.time_base = target.time_base = Fraction(1, rate)
    _take_over(target, stream)
    return SoundConversion(stream, target, window)


def _add_text(output: OutputContainer, stream: Stream) -> Conversion:
    decoder = stream.codec_context
    assert isinstance(decoder, SubtitleCodecContext)
    decoder.open(strict=False)  # which makes the header that an encoder needs
    target = output.add_stream(_TEXTS[output.format.name])
    assert isinstance(target.codec_context, SubtitleCodecContext)
    target.codec_context.subtitle_header = decoder.subtitle_header
    target.codec_context.time_base = target.time_base = Fraction(1, 1000)
    _take_over(target, stream)
    return TextConversion(stream, target)


def _take_over(target: Stream, stream: Stream) -> None:
    target.disposition = stream.disposition
    target.metadata.update(stream.metadata)


def usual_layout(of: Any) -> str:
    """The channel layout of a frame or a codec; where it names none, the usual one."""
    name: str = of.layout.name
    if re.fullmatch(r"\d+ channels.*", name):
        return _BY_COUNT.get(len(of.layout.channels), name)
    return name


def _rate(codec: Codec, rate: int) -> int:
    """The sample rate of an encoder that is not below the source's, or its highest."""
    rates = codec.audio_rates or [rate]
    return min((one for one in rates if one >= rate), default=max(rates))


def _sample_format(codec: Codec, source: str) -> str:
    """The sample format in which an encoder loses the least."""
    offered = [described.name for described in codec.audio_formats or ()]
    deep = source.removesuffix("p") in ("s32", "flt", "dbl", "s64")
    return offered[-1] if deep else offered[0]


def _encodable(name: str, layout: str, rate: int, kind: str) -> str | None:
    """The layout nearest to the source's that an encoder takes, tried by opening it."""
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
