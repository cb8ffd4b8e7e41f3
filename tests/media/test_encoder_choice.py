"""Choice of the encoder and the pixel format for a target, and the warnings about it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.encoder_trials import encoder_problem
from engine.media.output_file import WrittenInfo
from engine.media.probe import probe
from engine.options import EncodeOptions
from tests.media.looks import profile
from tests.synth import make_clip


def encoded(target: Path, output: Path, **options: str | float) -> WrittenInfo:
    return write_video(
        read_frames(target),
        output,
        like=target,
        options=EncodeOptions(**options),  # type: ignore[arg-type]
    )


def alphas(path: Path) -> list[int]:
    """Return the distinct values of the first frame's alpha plane, reduced to 8 bits."""
    frame = next(iter(read_frames(path)))
    return sorted({int(value) >> (frame.format.bits - 8) for value in np.unique(frame.planes[3])})


def transparent(path: Path, codec: str, pix_fmt: str) -> Path:
    """A clip whose left half is half transparent."""
    clip = make_clip(path.with_name("opaque.nut"), codec="ffv1", pix_fmt="yuv444p", frames=3)
    made = av.open(str(path), "w")
    stream = made.add_stream(codec, rate=25)
    assert isinstance(stream, VideoStream)
    stream.pix_fmt = pix_fmt
    stream.width, stream.height = 64, 48
    with av.open(str(clip)) as source:
        for picture in source.decode(video=0):
            pixels = picture.to_ndarray(format="rgba")
            pixels[:, :32, 3] = 128
            made.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
    made.mux(stream.encode(None))
    made.close()
    return path


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("prores_ks", "yuva444p10le"), ("qtrle", "argb"), ("png", "rgba")]
)
@pytest.mark.parametrize(
    ("suffix", "kept"),
    [(".mov", "prores"), (".mkv", None), (".webm", "vp9"), (".nut", None)],
)
def test_transparency_is_kept_where_the_container_can(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str, kept: str | None
) -> None:
    target = transparent(tmp_path / "target.mov", codec=codec, pix_fmt=pix_fmt)
    output = tmp_path / f"output{suffix}"
    info = encoded(target, output)
    if kept is None:
        kept = "prores" if (codec, suffix) == ("prores_ks", ".mkv") else "ffv1"
    assert info.codec == kept
    assert not any("transparency" in warning for warning in info.warnings)
    assert alphas(output) == pytest.approx(alphas(target), abs=1)
    assert len(list(read_frames(output))) == 3


@pytest.mark.parametrize("codec", [None, "hevc", "h264", "av1", "vp9"])
@pytest.mark.parametrize("pix_fmt", ["yuva444p10le", "argb"])
def test_transparency_that_cannot_stay_is_told(
    tmp_path: Path, codec: str | None, pix_fmt: str
) -> None:
    maker = "qtrle" if pix_fmt == "argb" else "prores_ks"
    target = transparent(tmp_path / "target.mov", codec=maker, pix_fmt=pix_fmt)
    info = encoded(target, tmp_path / "output.mp4", **({"codec": codec} if codec else {}))
    assert info.pixel_format.startswith("yuv420p")
    assert any("without its transparency" in warning for warning in info.warnings)


def test_an_opaque_gif_is_for_players(tmp_path: Path) -> None:
    gif = make_clip(tmp_path / "target.gif", codec="gif", pix_fmt="rgb8", frames=3)
    for suffix in (".mp4", ".mov", ".webm", ".flv"):
        info = encoded(gif, tmp_path / f"output{suffix}")
        assert info.pixel_format == "yuv420p"
        assert [warning for warning in info.warnings if "pixel_format keep" in warning]
        assert not any("transparency" in warning for warning in info.warnings)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".webm", ".flv", ".ts"])
@pytest.mark.parametrize(
    ("codec", "pix_fmt", "then"),
    [
        ("rawvideo", "bgr24", "yuv420p"),
        ("ffv1", "yuv444p", "yuv420p"),
        ("ffv1", "yuv411p", "yuv420p"),
        ("ffv1", "gray", "yuv420p"),
        ("ffv1", "yuv420p", "yuv420p"),
        ("ffv1", "yuv422p", "yuv422p"),
        ("libx264", "yuv444p", "yuv444p"),
    ],
)
def test_no_players_film_is_surprised_by_full_chroma(
    tmp_path: Path, suffix: str, codec: str, pix_fmt: str, then: str
) -> None:
    target = make_clip(tmp_path / "target.nut", codec=codec, pix_fmt=pix_fmt, frames=3)
    info = encoded(target, tmp_path / f"output{suffix}")
    assert info.pixel_format == then
    changed = pix_fmt not in (then, "gray")
    assert any(pix_fmt[:3] in w or "gbrp" in w for w in info.warnings) == changed
    kept = encoded(target, tmp_path / f"kept{suffix}", pixel_format="keep")
    if pix_fmt in ("yuv444p", "bgr24"):
        assert kept.pixel_format in ("yuv444p", "gbrp")


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "bgr24"])
def test_odd_sizes_gain_a_line_and_lose_none(
    tmp_path: Path, size: tuple[int, int], pix_fmt: str
) -> None:
    codec = "rawvideo" if pix_fmt == "bgr24" else "ffv1"
    target = make_clip(tmp_path / "target.nut", codec=codec, pix_fmt=pix_fmt, size=size, frames=3)
    output = tmp_path / "output.mp4"
    info = encoded(target, output, crf=0, preset="ultrafast")
    assert info.size == probe(output).size == (64, 48)
    (said,) = [warning for warning in info.warnings if "64x48" in warning]
    assert ("last column" in said, "last line" in said) == (size[0] == 63, size[1] == 47)
    if pix_fmt == "yuv420p":  # lossless at crf 0
        for one, other in zip(read_frames(target), read_frames(output), strict=True):
            width, height = size
            luma = other.planes[0]
            assert np.array_equal(luma[:height, :width], one.planes[0])
            assert np.array_equal(luma[-1], luma[height - 1])
            assert np.array_equal(luma[:, -1], luma[:, width - 1])
            for n in (1, 2):
                assert np.array_equal(other.planes[n], one.planes[n])
    kept = encoded(target, tmp_path / "kept.mp4", pixel_format="keep")
    assert kept.size == size


def test_grey_keeps_its_samples_in_a_players_film(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mkv", codec="ffv1", pix_fmt="gray", frames=3)
    output = tmp_path / "output.mp4"
    info = encoded(target, output, crf=0, preset="ultrafast")
    assert (info.pixel_format, info.warnings) == ("yuv420p", ())
    for one, other in zip(read_frames(target), read_frames(output), strict=True):
        assert np.array_equal(one.planes[0], other.planes[0])
        assert {int(v) for v in np.unique(other.planes[1:])} == {128}
        assert other.colour.full_range == one.colour.full_range


def test_a_named_pixel_format_is_taken(tmp_path: Path) -> None:
    target = make_clip(tmp_path / "target.mp4", frames=3)
    for name in ("yuv422p", "yuv444p", "yuv420p10le"):
        output = tmp_path / f"{name}.mp4"
        info = encoded(target, output, pixel_format=name)
        assert (info.pixel_format, info.warnings) == (name, ())
        assert probe(output).format.name == name


@pytest.mark.parametrize(
    ("encoder", "pix_fmt", "option", "shown"),
    [
        ("prores_ks", "yuv422p10le", "hq", "HQ"),
        ("prores_ks", "yuv422p10le", "lt", "LT"),
        ("prores_ks", "yuv422p10le", "proxy", "Proxy"),
        ("prores_ks", "yuv444p10le", "4444", "4444"),
        ("dnxhd", "yuv422p10le", "dnxhr_hqx", "DNXHR HQX"),
        ("dnxhd", "yuv422p", "dnxhr_sq", "DNXHR SQ"),
        ("dnxhd", "yuv444p10le", "dnxhr_444", "DNXHR 444"),
    ],
)
@pytest.mark.parametrize("suffix", [".mov", ".mkv"])
def test_an_editors_codec_stays_in_its_profile(
    tmp_path: Path, encoder: str, pix_fmt: str, option: str, shown: str, suffix: str
) -> None:
    target = make_clip(
        tmp_path / "target.mov",
        codec=encoder,
        pix_fmt=pix_fmt,
        size=(256, 128),
        frames=3,
        options={"profile": option},
    )
    assert profile(target) == shown
    output = tmp_path / f"output{suffix}"
    info = encoded(target, output)
    if (encoder, suffix) == ("dnxhd", ".mkv"):  # which cannot hold it
        assert info.codec in ("h264", "hevc")
    else:
        assert info.codec == {"prores_ks": "prores"}.get(encoder, encoder)
        assert profile(output) == shown
    # A quality is asked of an encoder that has one; players are given no editor's codec.
    assert encoded(target, tmp_path / "crf.mov", crf=30).codec in ("h264", "hevc")
    assert encoded(target, tmp_path / "output.mp4").codec in ("h264", "hevc")


@pytest.mark.parametrize("name", ["dnxhr", "prores"])
def test_an_editors_codec_by_its_name(tmp_path: Path, name: str) -> None:
    target = make_clip(tmp_path / "target.mp4", size=(256, 128), frames=3)
    output = tmp_path / "output.mov"
    encoded(target, output, codec=name)
    assert probe(output).format.name in ("yuv422p", "yuv422p10le")
    assert len(list(read_frames(output))) == 3


def test_an_encoder_is_believed_when_it_encodes() -> None:
    assert not encoder_problem("libx264", "yuv420p", (1920, 1080), {})
    assert encoder_problem("libx264", "yuv420p", (1921, 1080), {})
    assert encoder_problem("libx265", "yuva420p10le", (64, 48), {})
    assert encoder_problem("libvpx-vp9", "gbrap", (64, 48), {})
    assert encoder_problem("no_such", "yuv420p", (64, 48), {}) == "it is not built in"
    assert encoder_problem("aac", "yuv420p", (64, 48), {}) == "it encodes no video"
