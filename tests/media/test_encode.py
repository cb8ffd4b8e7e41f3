"""An output keeps the target's times, samples, sound and everything else."""

from __future__ import annotations

import struct
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from engine.errors import Cancelled, MediaError, OutputExists, ParameterError
from engine.media.containers import VIDEO_CONTAINERS
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.mp4_boxes import contents
from engine.media.output_file import WrittenInfo, check_output
from engine.media.probe import describe, probe
from engine.media.provenance_tags import SOURCE_TYPE
from engine.media.pyav import as_fraction
from engine.options import EncodeOptions, Trim
from engine.trust.provenance import provenance_tags
from engine.values import Frame
from tests.media.looks import (
    kinds,
    packets,
    payloads,
    pictures,
    provenance,
    same_samples,
    seconds,
    stamps,
)
from tests.synth import Line, Sound, Tags, make_clip

FAST = EncodeOptions(preset="ultrafast")
VFR = (0, 400, 900, 1300, 2600, 2700, 3900, 4000, 5200, 5300, 7000, 7400)


def pass_through(
    target: Path,
    output: Path,
    options: EncodeOptions = FAST,
    trim: Trim = Trim(),  # noqa: B008 - frozen
) -> WrittenInfo:
    return write_video(read_frames(target, trim), output, like=target, options=options, trim=trim)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".ts", ".nut"])
@pytest.mark.parametrize("timing", ["constant", "variable", "offset", "both"])
def test_every_pts_is_the_targets(tmp_path: Path, suffix: str, timing: str) -> None:
    pts = VFR if timing in ("variable", "both") else tuple(range(0, 12 * 480, 480))
    if timing in ("offset", "both"):
        pts = tuple(stamp + 6000 for stamp in pts)
    webm = suffix == ".webm"
    target = make_clip(
        tmp_path / f"target{suffix}",
        pts=pts,
        time_base=Fraction(1, 12_000),
        codec="libvpx-vp9" if webm else "libx264",
        options={} if webm else {"bf": "3"},
        sounds=[Sound("libopus" if webm else "aac")],
    )
    output = tmp_path / f"output{suffix}"
    info = pass_through(target, output, EncodeOptions() if webm else EncodeOptions(preset="medium"))
    assert info.frames == 12
    assert info.warnings == ()
    assert stamps(output) == stamps(target)
    assert packets(output, "audio") == packets(target, "audio")


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_times_survive_a_change_of_container(tmp_path: Path, suffix: str) -> None:
    target = make_clip(tmp_path / "target.mp4", sounds=[Sound()])
    output = tmp_path / f"output{suffix}"
    pass_through(target, output)
    near = [float(time) for time in seconds(target)]
    assert [float(time) for time in seconds(output)] == pytest.approx(near, abs=0.001)
    before, after = packets(target, "audio"), packets(output, "audio")
    assert payloads(after) == payloads(before)
    assert float(after[5][0]) == pytest.approx(float(before[5][0]), abs=0.001)


def test_durations_are_the_targets(tmp_path: Path) -> None:
    # With B-frames, MP4 derives its length from the order of decoding and gets it wrong.
    target = make_clip(
        tmp_path / "target.mp4", pts=VFR, time_base=Fraction(1, 12_000), options={"bf": "0"}
    )
    output = tmp_path / "output.mp4"
    pass_through(target, output)
    with av.open(str(target)) as one, av.open(str(output)) as other:
        assert one.streams.video[0].duration == other.streams.video[0].duration


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_last_frames_are_covered_where_the_rate_varies(tmp_path: Path, suffix: str) -> None:
    # Ten frames 16 ms apart and ten 350 ms apart, with B-frames.
    pts = [*range(0, 160, 16), *range(160, 160 + 10 * 350, 350)]
    target = make_clip(tmp_path / "target.mkv", pts=pts, time_base=Fraction(1, 1000))
    output = tmp_path / f"output{suffix}"
    pass_through(target, output, EncodeOptions())
    last = list(read_frames(target))[-1]
    end = float((last.pts + last.duration) * last.time_base)
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        length = float((stream.duration or 0) * as_fraction(stream.time_base))
        assert length == pytest.approx(end, abs=0.001)
        # B-frames, which are what makes the order of decoding another.
        assert any(packet.dts != packet.pts for packet in container.demux(stream) if packet.size)
    assert seconds(output) == seconds(target)


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
@pytest.mark.parametrize("rate", [Fraction(1, 10**9), Fraction(10**6)])
def test_rates_that_are_none_are_passed_over(
    tmp_path: Path, suffix: str, rate: Fraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3)
    source = describe(target)
    claimed = replace(source, info=replace(source.info, frame_rate=rate))
    monkeypatch.setattr("engine.media.encode.describe", lambda _: claimed)
    assert pass_through(target, tmp_path / f"output{suffix}").frames == 3


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "out_codec", "size"),
    [
        ("ffv1", "yuv420p", "ffv1", (64, 48)),
        ("ffv1", "yuv420p", "ffv1", (63, 47)),
        ("ffv1", "yuv422p10le", "ffv1", (64, 48)),
        ("ffv1", "yuv411p", "ffv1", (64, 48)),
        ("ffv1", "yuv440p", "ffv1", (64, 48)),
        ("ffv1", "yuva420p", "ffv1", (64, 48)),
        ("ffv1", "gray", "ffv1", (64, 48)),
        ("rawvideo", "bgr24", "ffv1", (64, 48)),
        ("ffv1", "gbrp12le", "ffv1", (64, 48)),
        ("libx264", "yuv420p", "libx264", (64, 48)),
        ("libx264", "yuv422p", "libx264", (64, 48)),
        ("libx264", "yuv444p", "libx264", (63, 47)),
        ("libx264", "yuvj420p", "libx264", (64, 48)),
        ("rawvideo", "yuv420p", "libx264", (64, 48)),
        ("rawvideo", "nv12", "libx264", (64, 48)),
    ],
)
def test_samples_reach_the_encoder_bit_for_bit(
    tmp_path: Path, codec: str, pix_fmt: str, out_codec: str, size: tuple[int, int]
) -> None:
    tags = Tags(full=True) if pix_fmt == "yuvj420p" else None
    target = make_clip(
        tmp_path / "target.nut", codec=codec, pix_fmt=pix_fmt, size=size, frames=6, tags=tags
    )
    output = tmp_path / "output.nut"
    lossless = EncodeOptions(codec=out_codec, crf=0 if out_codec == "libx264" else None)
    info = pass_through(target, output, lossless)
    assert info.warnings == ()
    assert probe(output).format == probe(target).format
    frames = list(read_frames(target))
    for one, other in zip(frames, read_frames(output), strict=True):
        for before, after in zip(one.planes, other.planes, strict=True):
            assert np.array_equal(before, after)
    if codec != "rawvideo":
        assert same_samples(target, output)


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48)])
@pytest.mark.parametrize("deep", [False, True])
def test_odd_sizes_stay_and_keep_every_sample(
    tmp_path: Path, size: tuple[int, int], deep: bool
) -> None:
    pix_fmt = "yuv420p10le" if deep else "yuv420p"
    target = make_clip(tmp_path / "target.mkv", codec="ffv1", pix_fmt=pix_fmt, size=size, frames=3)
    output = tmp_path / "output.mkv"
    lossless = EncodeOptions(crf=0, preset="ultrafast")
    info = pass_through(target, output, lossless)
    assert info.size == probe(output).size == size
    assert any("chroma sample repeated" in warning for warning in info.warnings)
    if not deep:  # crf 0 is lossless for 8 bits alone
        for one, other in zip(read_frames(target), read_frames(output), strict=True):
            assert np.array_equal(one.planes[0], other.planes[0])
            for n in (1, 2):
                assert np.array_equal(one.planes[n], other.planes[n][::2, ::2])


def test_odd_sizes_need_no_change_where_the_codec_takes_them(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.webm", codec="libvpx-vp9", size=(63, 47), frames=3)
    output = tmp_path / "output.webm"
    info = pass_through(target, output, EncodeOptions())
    assert (info.size, info.pixel_format, info.warnings) == ((63, 47), "yuv420p", ())
    assert probe(output).size == (63, 47)


@pytest.mark.parametrize("codec", ["hevc", "h264", None])
def test_ten_bits_stay_ten_bits(tmp_path: Path, codec: str | None) -> None:
    target = make_clip(
        tmp_path / "target.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": "log-level=none"},
        tags=Tags(9, 16, 9),
    )
    output = tmp_path / "output.mp4"
    info = pass_through(target, output, EncodeOptions(codec=codec, preset="ultrafast"))
    assert info.codec == (codec or "hevc")
    assert info.pixel_format == "yuv420p10le"
    assert probe(output).format.bits == 10
    assert stamps(output) == stamps(target)
    assert probe(output).colour == probe(target).colour


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize(
    ("tags", "matrix"),
    [
        (Tags(1, 1, 1), "bt709"),
        (Tags(6, 6, 6), "bt601"),
        (Tags(5, 6, 5, full=True), "bt601"),
        (Tags(1, 1, 1, full=True), "bt709"),
        (Tags(9, 14, 9), "bt2020"),
    ],
)
def test_colour_tags_are_kept(tmp_path: Path, suffix: str, tags: Tags, matrix: str) -> None:
    target = make_clip(tmp_path / f"target{suffix}", tags=tags, frames=3)
    output = tmp_path / f"output{suffix}"
    pass_through(target, output)
    colour = probe(output).colour
    assert colour == probe(target).colour
    assert (colour.primaries, colour.transfer, colour.space) == (
        tags.primaries,
        tags.transfer,
        tags.space,
    )
    assert (colour.matrix, colour.full_range) == (matrix, tags.full)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("turn", "mirrored"), [(90, False), (180, False), (270, False), (90, True)]
)
def test_the_display_matrix_is_kept(tmp_path: Path, suffix: str, turn: int, mirrored: bool) -> None:
    if mirrored and suffix == ".mkv":
        pytest.skip("Matroska has no mirrored projection")
    target = make_clip(tmp_path / f"target{suffix}", rotation=turn, mirrored=mirrored, frames=3)
    output = tmp_path / f"output{suffix}"
    pass_through(target, output)
    assert describe(output).display_matrix == describe(target).display_matrix
    info = probe(output)
    assert info.orientation == probe(target).orientation
    assert info.orientation.mirrored == mirrored
    assert info.size == ((48, 64) if turn % 180 else (64, 48))


def test_aspect_ratio_is_kept(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", aspect=Fraction(4, 3), frames=3)
    output = tmp_path / "output.mp4"
    pass_through(target, output)
    assert describe(output).sample_aspect_ratio == Fraction(4, 3)


def test_mastering_display_and_light_level_are_kept(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"
    parameters = f"log-level=none:master-display={display}:max-cll=1000,400"
    target = make_clip(
        tmp_path / "target.mp4",
        codec="libx265",
        pix_fmt="yuv420p10le",
        options={"x265-params": parameters},
        tags=Tags(9, 16, 9),
        frames=3,
    )
    output = tmp_path / "output.mp4"
    assert describe(target).mastering_display is not None
    pass_through(target, output)
    assert describe(output).mastering_display == describe(target).mastering_display
    assert describe(output).light_level == describe(target).light_level


def test_transparent_webm_stays_transparent(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.webm", codec="libvpx-vp9", pix_fmt="yuva420p", frames=3)
    output = tmp_path / "output.webm"
    info = pass_through(target, output, EncodeOptions())
    assert (info.pixel_format, info.warnings) == ("yuva420p", ())
    assert probe(output).format == probe(target).format
    assert probe(output).format.alpha
    flattened = pass_through(target, tmp_path / "output.mp4", FAST)
    assert any("yuva420p" in warning for warning in flattened.warnings)


@pytest.mark.parametrize("suffix", [".ts", ".nut", ".flv"])
def test_nothing_moves_where_time_starts_at_zero(tmp_path: Path, suffix: str) -> None:
    target = make_clip(tmp_path / "target.mp4", rotation=90)
    output = tmp_path / f"output{suffix}"
    info = pass_through(target, output, EncodeOptions())
    near = [float(time) for time in seconds(target)]
    assert [float(time) for time in seconds(output)] == pytest.approx(near, abs=0.001)
    assert any("rotated" in warning for warning in info.warnings)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_cut_target_is_written_as_far_as_it_goes(tmp_path: Path, suffix: str) -> None:
    whole = make_clip(
        tmp_path / f"whole{suffix}",
        frames=100,
        sounds=[Sound(seconds=4)],
        options={"g": "10"},
        muxing={"movflags": "+faststart"} if suffix == ".mp4" else {},
    )
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    output = tmp_path / f"output{suffix}"
    info = pass_through(cut, output)
    assert 20 < info.frames < 90
    assert len(seconds(output)) == info.frames
    assert 20 < len(packets(output, "audio")) < len(packets(whole, "audio"))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_every_audio_track_is_copied(tmp_path: Path, suffix: str) -> None:
    sounds = [Sound(), Sound(pitch=880, language="fra", start=0.1), Sound(pitch=220, seconds=0.9)]
    target = make_clip(tmp_path / f"target{suffix}", sounds=sounds)
    output = tmp_path / f"output{suffix}"
    pass_through(target, output)
    for number in range(3):
        assert packets(output, "audio", number) == packets(target, "audio", number)
    with av.open(str(output)) as container:
        languages = [stream.language for stream in container.streams.audio]
    assert languages == ["eng", "fra", "eng"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_subtitles_and_chapters_are_copied(tmp_path: Path, suffix: str) -> None:
    lines = [Line(0.0, 0.2, "one"), Line(0.2, 0.4, "two")]
    chapters = [(0.0, 0.2, "first"), (0.2, 0.48, "second")]
    target = make_clip(
        tmp_path / f"target{suffix}",
        sounds=[Sound()],
        lines=lines,
        chapters=chapters,
        metadata={"title": "A clip", "comment": "mine"},
    )
    output = tmp_path / f"output{suffix}"
    info = pass_through(target, output)
    assert info.warnings == ()
    assert packets(output, "subtitle") == packets(target, "subtitle")
    with av.open(str(target)) as one, av.open(str(output)) as other:
        assert one.chapters() == other.chapters()
        assert len(other.chapters()) == 2
        found = {key.lower(): value for key, value in other.metadata.items()}
        assert (found["title"], found["comment"]) == ("A clip", "mine")


def test_attachments_are_copied(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", attachment=b"a note", frames=3)
    output = tmp_path / "output.mkv"
    pass_through(target, output)
    with av.open(str(output)) as container:
        (attachment,) = container.streams.attachments
        assert (attachment.name, attachment.data) == ("note.txt", b"a note")


def test_a_cover_is_copied_or_named(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    target = tmp_path / "target.mp4"
    cover = make_clip(tmp_path / "cover.nut", codec="png", pix_fmt="rgb24", frames=1)
    with av.open(str(clip)) as one, av.open(str(cover)) as two, av.open(str(target), "w") as out:
        copy = out.add_stream_from_template(one.streams.video[0], opaque=True)
        attached = out.add_stream_from_template(two.streams.video[0], opaque=True)
        attached.disposition = Disposition.attached_pic
        for source, stream in ((two, attached), (one, copy)):
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    out.mux(packet)
    assert probe(target).codec == "h264"
    assert pass_through(target, tmp_path / "output.mp4").warnings == ()
    before, after = (packets(tmp_path / f"{n}.mp4", "video", 1) for n in ("target", "output"))
    assert payloads(after) == payloads(before) != []
    info = pass_through(target, tmp_path / "output.mov")
    assert any("png" in warning for warning in info.warnings)
    for given, made in (("target.mp4", "output.mkv"), ("output.mkv", "again.mkv")):
        output = tmp_path / made
        info = pass_through(tmp_path / given, output)
        assert not any("png" in warning for warning in info.warnings)
        with av.open(str(output)) as container:
            shown = container.streams[1]
            assert shown.disposition & Disposition.attached_pic
            assert shown.metadata["filename"] == "cover.png"
            assert shown.metadata["mimetype"] == "image/png"
        assert payloads(packets(output, "video", 1)) == payloads(before)


def test_what_the_container_cannot_hold_is_named(tmp_path: Path) -> None:
    target = make_clip(
        tmp_path / "target.mkv",
        sounds=[Sound(), Sound("flac", language="deu")],
        lines=[Line(0, 0.2, "one")],
        attachment=b"a note",
        frames=3,
    )
    output = tmp_path / "output.mp4"
    info = pass_through(target, output)
    assert kinds(output) == ["video", "audio", "audio", "subtitle"]
    assert any("subrip" in w and "re-encoded as mov_text" in w for w in info.warnings)
    copied = pass_through(target, tmp_path / "copied.mp4", EncodeOptions(audio="copy"))
    assert any("subrip" in w and "left out" in w for w in copied.warnings)
    assert kinds(tmp_path / "copied.mp4") == ["video", "audio", "audio"]
    assert any("attachment" in warning for warning in info.warnings)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_trimmed_part_starts_together(tmp_path: Path, suffix: str) -> None:
    target = make_clip(
        tmp_path / f"target{suffix}",
        frames=75,
        options={"g": "20"},
        sounds=[Sound(seconds=3)],
        chapters=[(0.0, 1.2, "first"), (1.2, 3.0, "second")],
        lines=[Line(0.5, 1.5, "shown across the cut"), Line(2.5, 2.8, "after")],
    )
    trim = Trim(1.0, 2.0)
    output = tmp_path / f"output{suffix}"
    pass_through(target, output, EncodeOptions(crf=0, preset="ultrafast"), trim)
    before, after = pictures(target), pictures(output)
    assert len(after) == 25
    assert seconds(output)[0] == seconds(target)[0]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(before[25:50], after, strict=True))
    sound, cut = packets(target, "audio"), packets(output, "audio")
    kept = [(time, body) for time, body in sound if 1 <= time < 2]
    assert payloads(cut) == payloads(kept)
    moved = [float(time - 1) for time, _ in kept]
    assert [float(time) for time, _ in cut] == pytest.approx(moved, abs=0.0011)
    (line,) = packets(output, "subtitle")[:1]
    assert line[0] == 0
    with av.open(str(output)) as container:
        chapters = container.chapters()
        spans = [
            (float(c["start"] * (c["time_base"] or 1)), float(c["end"] * (c["time_base"] or 1)))
            for c in chapters
        ]
    assert spans == [pytest.approx((0, 0.2)), pytest.approx((0.2, 1.0))]


def test_parts_cover_the_whole_once(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=30, options={"g": "7", "bf": "2"})
    whole = [frame.pts for frame in read_frames(target)]
    parts = [
        [frame.pts for frame in read_frames(target, Trim(start, end))]
        for start, end in ((None, 0.2), (0.2, 0.44), (0.44, 0.9), (0.9, None))
    ]
    assert [stamp for part in parts for stamp in part] == whole
    assert next(iter(read_frames(target, Trim(0.44)))).index == 0


def test_marks_survive(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3, metadata={"comment": "mine"})
    for suffix in (".mp4", ".mov", ".mkv"):
        output = tmp_path / f"output{suffix}"
        write_video(
            read_frames(target),
            output,
            like=target,
            options=FAST,
            provenance={"comment": "Faces were swapped."},
        )
        assert provenance(output) == "mine\nFaces were swapped."
        with av.open(str(output)) as container:
            text = next(v for k, v in container.metadata.items() if k.lower() == "comment")
        assert SOURCE_TYPE in text
    assert provenance(target) is None


@pytest.mark.parametrize("suffix", [".ts", ".m2ts", ".mts"])
def test_marks_survive_in_the_service_description_of_a_transport_stream(
    tmp_path: Path, suffix: str
) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3)
    output = tmp_path / f"output{suffix}"
    marks = provenance_tags("mesh", content_checked=True)
    write_video(read_frames(target), output, like=target, options=FAST, provenance=marks)
    data, tables = output.read_bytes(), b""
    length = 192 if suffix == ".m2ts" else 188  # with a time before each packet
    for start in range(length - 188, len(data), length):
        packet = data[start : start + 188]
        if int.from_bytes(packet[1:3]) & 0x1FFF == 0x11:  # PID of the service description
            begins = bool(packet[1] & 0x40)  # with a byte that points to the table's beginning
            tables += packet[5:] if begins else packet[4:]
    assert marks["comment"].encode() in tables
    assert SOURCE_TYPE.encode() in tables


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    sound = Sound(seconds=16)
    target = make_clip(tmp_path / "target.mp4", frames=400, size=(32, 32), sounds=[sound])
    alive: list[weakref.ref[object]] = []
    most = 0

    def counted() -> Iterator[Frame]:
        nonlocal most
        for frame in read_frames(target):
            alive[:] = [plane for plane in alive if plane() is not None]
            alive.append(weakref.ref(frame.planes[0]))
            most = max(most, len(alive))
            yield frame

    write_video(counted(), tmp_path / "output.mp4", like=target, options=FAST)
    assert most < 5


def test_the_observer_counts_and_may_cancel(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", sounds=[Sound()])
    output = tmp_path / "output.mp4"
    counts: list[int] = []
    write_video(read_frames(target), output, like=target, options=FAST, observe=counts.append)
    assert counts == list(range(1, 13))

    def cancel(count: int) -> None:
        if count == 5:
            raise Cancelled("enough")

    files = sorted(tmp_path.iterdir())
    before = output.read_bytes()
    with pytest.raises(Cancelled):
        write_video(
            read_frames(target), output, like=target, options=FAST, observe=cancel, overwrite=True
        )
    assert sorted(tmp_path.iterdir()) == files
    assert output.read_bytes() == before


def test_a_failing_source_leaves_nothing_behind(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4")
    files = sorted(tmp_path.iterdir())

    def failing() -> Iterator[Frame]:
        for frame in read_frames(target):
            if frame.index == 3:
                raise ValueError("broken")
            yield frame

    def growing() -> Iterator[Frame]:
        for frame in read_frames(target):
            planes = tuple(plane[:-2] for plane in frame.planes)
            yield replace(frame, planes=planes) if frame.index == 3 else frame

    with pytest.raises(ValueError, match="broken"):
        write_video(failing(), tmp_path / "output.mp4", like=target, options=FAST)
    with pytest.raises(MediaError, match="64x46"):
        write_video(growing(), tmp_path / "output.mp4", like=target, options=FAST)
    with pytest.raises(MediaError, match="no frame"):
        write_video([], tmp_path / "output.mp4", like=target)
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    ("options", "suffix", "error", "said"),
    [
        (EncodeOptions(codec="h999"), ".mp4", ParameterError, "possible are"),
        (EncodeOptions(codec="aac"), ".mp4", ParameterError, "possible are"),
        (EncodeOptions(preset="quick"), ".mp4", ParameterError, "ultrafast"),
        (EncodeOptions(crf=99), ".mp4", ParameterError, "0 to 51"),
        (EncodeOptions(codec="ffv1", crf=9), ".mkv", ParameterError, "no crf"),
        (EncodeOptions(codec="h264"), ".webm", MediaError, "av1, vp8, vp9"),
        (EncodeOptions(codec="dnxhr"), ".mkv", MediaError, r"encoder dnxhd .* 64x48 .*; choose"),
        (EncodeOptions(pixel_format="yuv42p"), ".mp4", ParameterError, "keep, yuv420p"),
        (EncodeOptions(pixel_format="pal8"), ".mkv", ParameterError, "libx264 cannot .* yuv444p"),
        (EncodeOptions("hevc", pixel_format="yuva420p"), ".mkv", ParameterError, "keep, yuv420p,"),
    ],
)
def test_impossible_encodings_are_explained(
    tmp_path: Path, options: EncodeOptions, suffix: str, error: type[Exception], said: str
) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=2)
    files = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=said):
        pass_through(target, tmp_path / f"output{suffix}", options)
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize("codec", ["vp9", "av1", "hevc", "h264", "libx264"])
def test_codecs_by_their_names(tmp_path: Path, codec: str) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3, size=(64, 64))
    output = tmp_path / "output.mp4"
    info = pass_through(target, output, EncodeOptions(codec=codec))
    assert stamps(output)[1] == stamps(target)[1]
    assert info.codec == codec.removeprefix("lib").replace("x264", "h264")


def test_outputs_are_checked_before_any_work(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=2)
    (tmp_path / "there.mp4").write_bytes(b"old")
    check_output(tmp_path / "new.mp4")
    check_output(tmp_path / "there.mp4", overwrite=True)
    with pytest.raises(OutputExists, match="overwrite"):
        check_output(tmp_path / "there.mp4")
    with pytest.raises(MediaError, match="also an input"):
        check_output(target, overwrite=True, inputs=(target,))
    with pytest.raises(MediaError, match="does not exist"):
        check_output(tmp_path / "none" / "new.mp4")
    with pytest.raises(MediaError, match=r"\.mkv"):
        check_output(tmp_path / "new.xyz")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(MediaError, match="directory"):
        check_output(tmp_path / "folder.mp4", overwrite=True)


@pytest.mark.parametrize("suffix", [".mkv", ".webm", ".flv", ".ts"])
def test_frames_closer_than_the_containers_clock_stay_apart(tmp_path: Path, suffix: str) -> None:
    # Two in a millisecond, and then two in a tick of MPEG-TS.
    pts = (0, 300_000, 40_000_000, 40_000_004, 80_000_000, 120_000_000)
    target = make_clip(
        tmp_path / "target.nut", pts=pts, time_base=Fraction(1, 10**9), options={"bf": "0"}
    )
    assert stamps(target)[1] == list(pts)
    output = tmp_path / f"output{suffix}"
    info = pass_through(target, output, EncodeOptions())
    base, counts = stamps(output)
    assert info.frames == len(counts) == len(set(counts)) == 6
    assert counts == sorted(counts)
    for count, stamp in zip(counts, pts, strict=True):
        assert abs(count * base - Fraction(stamp, 10**9)) <= 2 * base


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_hevc_has_the_tag_that_apples_players_take(tmp_path: Path, suffix: str) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3)
    output = tmp_path / f"output{suffix}"
    pass_through(target, output, EncodeOptions("hevc", preset="ultrafast"))
    with av.open(str(output)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


PLACE = {"location": "+48.8577+002.295/", "title": "Witness"}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_metadata_and_places_are_kept_with_a_warning_or_left_out(
    tmp_path: Path, suffix: str
) -> None:
    target = make_clip(
        tmp_path / f"target{suffix}",
        sounds=[Sound(language="fra")],
        metadata=PLACE,
        chapters=[(0.0, 0.2, "The witness speaks")],
        frames=12,
    )
    words = {"comment": "Faces were swapped."}
    for mode, there in (("keep", True), ("none", False)):
        output = tmp_path / f"{mode}{suffix}"
        info = write_video(
            read_frames(target),
            output,
            like=target,
            options=EncodeOptions(preset="ultrafast", metadata=mode),  # type: ignore[arg-type]
            provenance=words,
        )
        data = output.read_bytes()
        for secret in (b"Witness", b"The witness speaks"):
            assert (secret in data) == there
        said = [w for w in info.warnings if "location" in w.lower() and "metadata none" in w]
        assert bool(said) == there
        assert provenance(output) == "Faces were swapped."
        with av.open(str(output)) as container:
            assert container.streams.audio[0].language == "fra"
            assert len(container.chapters()) == 1
            tags = {tag.lower() for tag in container.metadata}
            assert ("location" in tags, "title" in tags) == (there, there)


def test_without_metadata_covers_and_telemetry_are_left_out_and_fonts_stay(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", attachment=b"a font", frames=3)
    output = tmp_path / "output.mkv"
    pass_through(target, output, EncodeOptions(metadata="none"))
    with av.open(str(output)) as container:
        (attachment,) = container.streams.attachments
        assert (attachment.name, attachment.data) == ("note.txt", b"a font")


def test_sound_is_dropped_when_asked(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3, sounds=[Sound()], lines=[Line(0, 1, "a")])
    output = tmp_path / "output.mp4"
    info = pass_through(target, output, EncodeOptions(audio="drop"))
    assert kinds(output) == ["video", "subtitle"]
    assert info.warnings == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize(
    "stamps",
    [
        [40 * n for n in range(20)],
        [*(40 * n for n in range(20)), 3000],
        [*(16 * n for n in range(10)), *(160 + 350 * n for n in range(10))],
        [*(350 * n for n in range(10)), *(3500 + 16 * n for n in range(10))],
    ],
    ids=["even", "late", "slower", "faster"],
)
def test_a_track_lasts_until_its_last_picture_ends(
    tmp_path: Path, suffix: str, stamps: list[int]
) -> None:
    target = make_clip(tmp_path / "target.mkv", pts=stamps, time_base=Fraction(1, 1000))
    output = tmp_path / f"output{suffix}"
    frames = list(read_frames(target))
    end = frames[-1].pts + frames[-1].duration
    write_video(frames, output, like=target, options=EncodeOptions(preset="medium"))
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.has_b_frames
        assert stream.duration is not None
        assert stream.duration * as_fraction(stream.time_base) == Fraction(end, 1000)
    assert seconds(output) == [Fraction(stamp, 1000) for stamp in stamps]
    with output.open("rb") as file:
        (edits,) = contents(file, (b"moov", b"trak", b"edts", b"elst"))
        (header,) = contents(file, (b"moov", b"mvhd"))
        file.seek(edits[0])
        _, count, length = struct.unpack(">3I", file.read(12))
        file.seek(header[0] + 12)
        scale, whole = struct.unpack(">2I", file.read(8))
    assert count == 1
    assert length == whole == end * scale // 1000


def test_sound_before_zero_leaves_no_gap_in_avi(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=20, sounds=[Sound(start=-0.023)])
    assert packets(target, "audio")[0][0] < 0
    output = tmp_path / "output.avi"
    pass_through(target, output)
    times = [time for time, _ in packets(output, "video")]
    assert times[0] < Fraction(1, 20)
    assert [b - a for a, b in pairwise(times)] == [Fraction(1, 25)] * 19


@pytest.mark.parametrize("suffix", VIDEO_CONTAINERS)
def test_ten_bits_go_into_every_container(tmp_path: Path, suffix: str) -> None:
    target = make_clip(tmp_path / "target.mkv", codec="libx265", pix_fmt="yuv420p10le")
    info = pass_through(target, tmp_path / f"output{suffix}", EncodeOptions())
    assert info.frames == 12
    assert info.codec == {".avi": "h264", ".webm": "vp9"}.get(suffix, "hevc")
