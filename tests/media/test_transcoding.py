"""Sound and text that a container cannot hold: re-encoded, in time and of the same length."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.subtitles.subtitle import AssSubtitle
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from engine.media import transcoding
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.output_file import WrittenInfo
from engine.media.pyav import as_fraction
from engine.options import EncodeOptions, Trim
from tests.media.looks import kinds
from tests.synth import Line, make_clip

RATE = 48_000
SECONDS = 3.0
# What an encoder is asked to hold, and what each container makes of it.
EXACT = 2  # samples at 48 kHz that the sound may be off
MILLISECOND = 50  # where a container counts time in these


def song(rate: int, channels: int, length: float) -> NDArray[np.float32]:
    """Noise that swells and fades, different in each channel: nowhere like itself."""
    time = np.arange(round(length * rate)) / rate
    rng = np.random.default_rng(7)
    coarse = rng.normal(0, 1, (channels, round(length * 4000) + 2))
    wave = np.stack([np.interp(time * 4000, np.arange(one.size), one) for one in coarse])
    return (0.2 * wave * (1.2 + np.sin(6 * time))).astype(np.float32)


def with_sound(
    path: Path,
    codec: str,
    *,
    rate: int = RATE,
    layout: str = "stereo",
    begin: float = 0.0,
    hole: tuple[float, float] | None = None,
) -> Path:
    """A clip whose sound begins at `begin` and has no packets in `hole`."""
    clip = make_clip(path.with_name("silent.mkv"), codec="mpeg4", frames=round(SECONDS * 25))
    channels = len(av.AudioLayout(layout).channels)
    wave = song(rate, channels, SECONDS - begin)
    with av.open(str(clip)) as source, av.open(str(path), "w") as made:
        picture = made.add_stream_from_template(source.streams.video[0])
        sound = made.add_stream(codec, rate=rate, options={"strict": "-2"})
        assert isinstance(sound, AudioStream)
        sound.codec_context.layout, sound.codec_context.bit_rate = layout, 192_000
        sound.metadata["language"] = "fra"
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = picture
                made.mux(packet)
        step = rate // 50
        resampler = av.AudioResampler(sound.codec_context.format, layout, rate)
        for first in range(0, wave.shape[1], step):
            frame = AudioFrame.from_ndarray(
                np.ascontiguousarray(wave[:, first : first + step]), format="fltp", layout=layout
            )
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = first + round(begin * rate)
            for one in resampler.resample(frame):
                for packet in sound.encode(one):
                    time = float((packet.pts or 0) * as_fraction(packet.time_base))
                    if hole is None or not hole[0] <= time < hole[1]:
                        made.mux(packet)
        made.mux(sound.encode(None))
    return path


def decode_sound(path: Path) -> tuple[NDArray[np.float32], str, int]:
    """Return the first channel of the sound from time 0, at 48 kHz; its layout and rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        layout, rate = stream.codec_context.layout.name, stream.codec_context.sample_rate
        parts: list[NDArray[np.float32]] = []
        whole = np.zeros(round((SECONDS + 1) * rate), np.float32)
        end = 0
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray()
            if not frame.format.is_planar:
                samples = samples.reshape(-1, len(frame.layout.channels)).T
            one = samples[0].astype(np.float32)
            if frame.format.name.startswith("s16"):
                one /= 1 << 15
            elif frame.format.name.startswith("s32"):
                one /= 1 << 31
            elif frame.format.name.startswith("u8"):
                one = (one - 128) / 128
            at = round((frame.pts or 0) * as_fraction(frame.time_base) * rate)
            if parts and abs(at - end) < rate // 25:
                at = end  # what the container's clock rounds
            first = max(0, -at)
            whole[at + first : at + one.size] = one[first:]
            end = max(end, at + one.size)
            parts.append(one)
    whole = whole[:end]
    time = np.arange(round(end / rate * RATE)) / RATE
    return np.interp(time, np.arange(end) / rate, whole).astype(np.float32), layout, rate


def measure_delay(before: NDArray[np.float32], after: NDArray[np.float32]) -> tuple[int, float]:
    """Return the delay of the second sound in samples, and their correlation at that delay."""
    size = 1 << (before.size + after.size - 1).bit_length()
    spectrum = np.fft.rfft(after, size) * np.conj(np.fft.rfft(before, size))
    likeness = np.fft.irfft(spectrum, size)
    best = int(likeness.argmax())
    scale = float(np.linalg.norm(before) * np.linalg.norm(after))
    return best if best < size // 2 else best - size, float(likeness[best]) / scale


def pass_through(
    target: Path, output: Path, trim: Trim | None = None, audio: str = "transcode"
) -> WrittenInfo:
    part = trim or Trim()
    options = EncodeOptions(
        preset=None if output.suffix == ".webm" else "ultrafast",
        audio=audio,  # type: ignore[arg-type]
    )
    return write_video(read_frames(target, part), output, like=target, options=options, trim=part)


def delay_tolerance(*suffixes: str) -> int:
    """Return the tolerance for the delay of sound in these containers."""
    return MILLISECOND if {".mkv", ".webm", ".flv"} & {*suffixes} else EXACT


CASES = [
    ("pcm_u8", ".avi", ".mp4", "aac", 0.98),
    ("pcm_u8", ".avi", ".mov", "pcm_u8", 0.98),
    ("pcm_s16le", ".mkv", ".webm", "opus", 0.9),
    ("aac", ".mp4", ".webm", "opus", 0.9),
    ("ac3", ".mkv", ".webm", "opus", 0.9),
    ("pcm_s24le", ".mkv", ".ts", "aac", 0.9),
    ("pcm_s24le", ".mkv", ".flv", "aac", 0.9),
    ("libopus", ".mkv", ".avi", "pcm_s16le", 0.98),
]


@pytest.mark.parametrize(("codec", "before", "after", "then", "alike"), CASES)
def test_sound_that_cannot_be_held_is_encoded_in_time(
    tmp_path: Path, codec: str, before: str, after: str, then: str, alike: float
) -> None:
    target = with_sound(tmp_path / f"target{before}", codec)
    output = tmp_path / f"output{after}"
    info = pass_through(target, output)
    with av.open(str(output)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == then
        if {before, after} <= {".mkv", ".mp4", ".webm", ".ts"}:
            assert container.streams.audio[0].language == "fra"
    sound, layout, _ = decode_sound(output)
    original, _, _ = decode_sound(target)
    off, likeness = measure_delay(original, sound)
    assert len(av.AudioLayout(layout).channels) == 2
    assert abs(off) <= delay_tolerance(before, after)
    assert likeness > alike
    assert abs(sound.size - original.size) <= 1536
    copied = pass_through(target, tmp_path / f"copied{after}", audio="copy")
    told = [warning for warning in info.warnings if "re-encoded" in warning]
    assert bool(told) == any("left out" in warning for warning in copied.warnings)


@pytest.mark.parametrize("after", [".mp4", ".webm"])
@pytest.mark.parametrize(("start", "end"), [(0.5, 2.5), (1.013, None), (None, 1.2)])
def test_a_trimmed_part_sounds_as_it_did(
    tmp_path: Path, after: str, start: float | None, end: float | None
) -> None:
    target = with_sound(tmp_path / "target.avi", "pcm_u8")
    output = tmp_path / f"output{after}"
    pass_through(target, output, Trim(start, end))
    original, _, _ = decode_sound(target)
    first = next(iter(read_frames(target, Trim(start, end))))
    begin = float(first.pts * first.time_base)
    expected = original[round(begin * RATE) : None if end is None else round(end * RATE)]
    sound, _, _ = decode_sound(output)
    off, likeness = measure_delay(expected, sound)
    assert abs(off) <= delay_tolerance(after)
    assert likeness > 0.9
    assert abs(sound.size - expected.size) <= 1536


@pytest.mark.parametrize("after", [".ts", ".flv", ".webm"])
def test_gaps_and_late_beginnings_stay_silent(tmp_path: Path, after: str) -> None:
    target = with_sound(tmp_path / "target.mkv", "pcm_s24le", begin=0.4, hole=(1.5, 2.0))
    output = tmp_path / f"output{after}"
    pass_through(target, output)
    original, _, _ = decode_sound(target)
    sound, _, _ = decode_sound(output)
    for part in (slice(0, RATE * 3 // 2), slice(RATE * 2 + 4000, None)):
        off, likeness = measure_delay(original[part], sound[part])
        assert abs(off) <= delay_tolerance(after)
        assert likeness > 0.9
    assert np.abs(sound[RATE * 3 // 2 + 4000 : RATE * 2 - 4000]).max() < 0.05


@pytest.mark.parametrize(("codec", "after"), [("libopus", ".avi"), ("pcm_s24le", ".ts")])
def test_a_gap_of_any_length_within_the_film_stays_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str, after: str
) -> None:
    monkeypatch.setattr(transcoding, "_LONGEST_SILENCE", Fraction(1, 10))
    target = with_sound(tmp_path / "target.mkv", codec, begin=0.4, hole=(1.0, 2.0))
    output = tmp_path / f"output{after}"
    pass_through(target, output)
    original, _, _ = decode_sound(target)
    sound, _, _ = decode_sound(output)
    for part in (slice(0, RATE), slice(2 * RATE + 4000, None)):
        off, likeness = measure_delay(original[part], sound[part])
        assert abs(off) <= delay_tolerance(after)
        assert likeness > 0.9


def test_a_damaged_time_far_behind_the_end_makes_no_silence(tmp_path: Path) -> None:
    clip = with_sound(tmp_path / "clip.mkv", "pcm_s24le")
    target, output = tmp_path / "target.mkv", tmp_path / "output.flv"
    late = 0
    with av.open(str(clip)) as source, av.open(str(target), "w") as made:
        copies = [made.add_stream_from_template(stream) for stream in source.streams]
        for packet in source.demux():
            if not packet.size:
                continue
            if packet.stream.type == "audio" and (packet.pts or 0) > 2000:
                late = 5_000_000
                packet.pts = packet.dts = (packet.pts or 0) + late
            packet.stream = copies[packet.stream.index]
            made.mux(packet)
    assert late
    # The header says what the film says.
    content = target.read_bytes()
    with av.open(str(target)) as container:
        said = container.duration or 0
    place = content.index(b"\x44\x89\x88") + 3
    assert abs(struct.unpack(">d", content[place : place + 8])[0] * 1000 - said) < 1000
    target.write_bytes(content[:place] + struct.pack(">d", 3000.0) + content[place + 8 :])
    pass_through(target, output)
    with av.open(str(output)) as container:
        last = max(
            (packet.pts or 0) * as_fraction(packet.time_base) for packet in container.demux(audio=0)
        )
    assert last < SECONDS + 1


@pytest.mark.parametrize(
    ("layout", "rate", "after", "then"),
    [
        ("5.1(side)", 48_000, ".webm", "5.1"),
        ("mono", 44_100, ".webm", "mono"),
        ("stereo", 8_000, ".webm", "stereo"),
    ],
)
def test_layouts_and_rates_are_kept_where_there_is_one_for_them(
    tmp_path: Path, layout: str, rate: int, after: str, then: str
) -> None:
    target = with_sound(
        tmp_path / "target.mkv", "ac3" if rate != 8_000 else "pcm_s16le", rate=rate, layout=layout
    )
    output = tmp_path / f"output{after}"
    pass_through(target, output)
    sound, found, out_rate = decode_sound(output)
    original, _, _ = decode_sound(target)
    off, likeness = measure_delay(original, sound)
    assert (found, out_rate >= rate or out_rate == 48_000) == (then, True)
    assert abs(off) <= delay_tolerance(".mkv")
    assert likeness > 0.9


@pytest.mark.parametrize(
    ("before", "after", "codec"),
    [
        (".mkv", ".mp4", "mov_text"),
        (".mkv", ".mov", "mov_text"),
        (".mp4", ".mkv", "subrip"),
        (".mkv", ".webm", "webvtt"),
        (".mp4", ".webm", "webvtt"),
    ],
)
def test_text_is_written_in_the_containers_own_way(
    tmp_path: Path, before: str, after: str, codec: str
) -> None:
    lines = [
        Line(0.1, 0.3, "one \u2013 \u00fc"),
        Line(0.3, 0.4, "two\nlines"),
        Line(0.42, 0.48, "x"),
    ]
    target = make_clip(tmp_path / f"target{before}", lines=lines)
    output = tmp_path / f"output{after}"
    info = pass_through(target, output)
    assert kinds(output) == ["video", "subtitle"]
    assert any(f"re-encoded as {codec}" in warning for warning in info.warnings)
    shown = []
    with av.open(str(output)) as container:
        stream = container.streams.subtitles[0]
        assert stream.codec_context.codec.canonical_name == codec
        for packet in container.demux(stream):
            for line in packet.decode() if packet.size else ():
                assert isinstance(line, AssSubtitle)
                begin = float((packet.pts or 0) * as_fraction(packet.time_base))
                text = line.dialogue.decode()
                if text:
                    shown.append(
                        (begin, float((packet.duration or 0) * as_fraction(packet.time_base)), text)
                    )
    assert [text for _, _, text in shown] == [line.text for line in lines]
    for (begin, length, _), said in zip(shown, lines, strict=True):
        assert begin == pytest.approx(said.start, abs=0.002)
        assert length == pytest.approx(said.end - said.start, abs=0.002)


@pytest.mark.parametrize("after", [".flv", ".ts"])
def test_a_sample_that_is_no_number_does_not_end_the_run(tmp_path: Path, after: str) -> None:
    target = tmp_path / "target.mkv"
    wave = song(RATE, 1, 1.0)
    wave[0, 20_000:20_010] = np.nan
    wave[0, 30_000] = np.inf
    add_wave(target, wave, "pcm_f32le", "flt")
    output = tmp_path / f"output{after}"
    info = pass_through(target, output)
    assert kinds(output) == ["video", "audio"]
    assert sum("damaged or overlong parts" in warning for warning in info.warnings) == 1


def test_a_sample_that_is_far_too_loud_is_cut(tmp_path: Path) -> None:
    target = tmp_path / "target.mkv"
    wave = song(RATE, 1, 1.0)
    wave[0, 20_000] = 1e30
    add_wave(target, wave, "pcm_f32le", "flt")
    output = tmp_path / "output.flv"
    info = pass_through(target, output)
    assert not any("damaged" in warning for warning in info.warnings)
    sound, _, _ = decode_sound(output)
    assert np.abs(sound[24_000:40_000]).max() > 0.1


def test_the_end_of_sound_is_not_lost_in_its_decoder(tmp_path: Path) -> None:
    target = with_sound(tmp_path / "target.wmv", "wmav2", rate=44_100)
    output = tmp_path / "output.webm"
    pass_through(target, output)
    sound, _, _ = decode_sound(output)
    with av.open(str(target)) as container:
        frames = list(container.decode(audio=0))
    begin = float((frames[0].pts or 0) * as_fraction(frames[0].time_base))
    end = begin + sum(frame.samples for frame in frames) / 44_100
    assert sound.size / RATE == pytest.approx(end, abs=0.022)


@pytest.mark.parametrize("codec", ["aac", "flac", "pcm_s24le", "libopus"])
@pytest.mark.parametrize("start", [None, 0.2])
def test_sound_that_begins_late_does_so_in_avi(
    tmp_path: Path, codec: str, start: float | None
) -> None:
    target = with_sound(tmp_path / "target.mkv", codec, begin=1.0)
    output = tmp_path / "output.avi"
    info = pass_through(target, output, Trim(start))
    assert sum("re-encoded as pcm_s16le" in warning for warning in info.warnings) == 1
    original, _, _ = decode_sound(target)
    sound, _, _ = decode_sound(output)
    off, likeness = measure_delay(original[round((start or 0) * RATE) :], sound)
    assert abs(off) <= MILLISECOND
    assert likeness > 0.98


def test_a_gap_in_converted_sound_is_silent_in_avi(tmp_path: Path) -> None:
    target = with_sound(tmp_path / "target.mkv", "libopus", hole=(1.0, 2.0))
    output = tmp_path / "output.avi"
    pass_through(target, output)
    original, _, _ = decode_sound(target)
    sound, _, _ = decode_sound(output)
    off, likeness = measure_delay(original[2 * RATE :], sound[2 * RATE :])
    assert abs(off) <= MILLISECOND
    assert likeness > 0.98


@pytest.mark.parametrize("codec", ["aac", "flac", "pcm_s16le"])
def test_a_gap_in_copied_sound_is_told_in_avi(tmp_path: Path, codec: str) -> None:
    target = with_sound(tmp_path / "target.mkv", codec, hole=(0.5, 2.5))
    info = pass_through(target, tmp_path / "output.avi")
    assert sum("has gaps, which avi cannot store" in warning for warning in info.warnings) == 1
    again = pass_through(target, tmp_path / "output.mov")
    assert not any("gaps" in warning for warning in again.warnings)


def test_sound_stays_with_a_picture_that_begins_late_in_avi(tmp_path: Path) -> None:
    stamps = [512 * n for n in range(12, 50)]
    silent = make_clip(tmp_path / "late.mkv", pts=stamps, time_base=Fraction(1, 12_800))
    target = tmp_path / "target.mkv"
    sounding = with_sound(tmp_path / "sound.mkv", "pcm_s16le")
    with (
        av.open(str(silent)) as pictures,
        av.open(str(sounding)) as sounds,
        av.open(str(target), "w") as made,
    ):
        both = ((pictures, pictures.streams.video[0]), (sounds, sounds.streams.audio[0]))
        copies = [made.add_stream_from_template(stream) for _, stream in both]
        for (container, stream), copy in zip(both, copies, strict=True):
            for packet in container.demux(stream):
                if packet.size:
                    packet.stream = copy
                    made.mux(packet)
    output = tmp_path / "output.avi"
    pass_through(target, output)
    original, _, _ = decode_sound(target)
    sound, _, _ = decode_sound(output)
    off, likeness = measure_delay(original[round(0.48 * RATE) :], sound)
    assert abs(off) <= RATE // 40
    assert likeness > 0.98


def test_a_subtitle_too_long_for_the_output_is_left_out_and_told(tmp_path: Path) -> None:
    lines = [Line(0.1, 0.2, "one"), Line(0.2, 0.3, "x" * 70_000), Line(0.3, 0.4, "three")]
    target = make_clip(tmp_path / "target.mkv", lines=lines)
    info = pass_through(target, tmp_path / "output.mp4")
    assert any("1 damaged or overlong parts" in warning for warning in info.warnings)


def test_sound_in_a_format_that_arrays_cannot_hold_is_left_out_by_name(tmp_path: Path) -> None:
    target = tmp_path / "target.nut"
    add_wave(target, song(RATE, 1, 1.0), "pcm_s64le", "s64")
    info = pass_through(target, tmp_path / "output.flv")
    assert any("pcm_s64le" in warning and "left out" in warning for warning in info.warnings)


def add_wave(path: Path, wave: NDArray[np.float32], codec: str, kind: str) -> None:
    """Writes a short clip with one channel of sound in a format that arrays may not hold."""
    with av.open(str(path), "w") as made:
        picture = made.add_stream("mpeg4", rate=25)
        assert isinstance(picture, VideoStream)
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        sound = made.add_stream(codec, rate=RATE)
        assert isinstance(sound, AudioStream)
        sound.codec_context.layout, sound.codec_context.format = "mono", kind
        for _ in range(25):
            made.mux(picture.encode(VideoFrame(64, 48, "yuv420p")))
        frame = AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(kind, "mono", RATE)
        for one in resampler.resample(frame):
            made.mux(sound.encode(one))
        made.mux(picture.encode(None))
        made.mux(sound.encode(None))
