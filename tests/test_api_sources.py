"""A source is prepared once, kept by the engine, and held by its users."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import MediaError, ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.media.decode import read_frames, read_image
from engine.pipeline.report import StageSeconds, SwapReport
from engine.pipeline.video import Progress
from engine.swappers.mesh.warp import MeshWarp
from tests.doubles import IdentitySwapper
from tests.footage import (
    MAN,
    STRANGER,
    TWO,
    WOMAN,
    Spot,
    asset,
    picture,
    portrait,
    write_clip,
    write_png,
)
from tests.synth import make_clip

pytestmark = pytest.mark.slow

SOURCE = asset(STRANGER)
QUICK: dict[str, Any] = {"pixel_boost": "128x128", "video_codec": "ffv1"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu", swapper="mesh") as one:
        yield one


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO))


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of portraits of each source that mesh prepares."""
    counts: list[int] = []
    prepare = MeshWarp.prepare

    def counted(self: MeshWarp, portraits: Any) -> Any:
        counts.append(len(portraits))
        return prepare(self, portraits)

    monkeypatch.setattr(MeshWarp, "prepare", counted)
    return counts


def timeless(report: SwapReport) -> SwapReport:
    """Return the report without its times and its output's name."""
    return replace(report, seconds=0, stage_seconds=StageSeconds(), output=Path("output"))


@pytest.mark.parametrize(
    "choice",
    [
        {},
        {"face_selector_order": "left-right", "reference_face_position": 1},
        {"face_selector_mode": "many", "detect_rotated": True},
        {"reference_image": str(asset(WOMAN)), "any_source": True, "content_check": False},
        {"extra_source_image": str(SOURCE), "occluder": None},
    ],
)
def test_pixels_and_report_are_those_of_a_first_swap(
    still: Path, tmp_path: Path, prepared: list[int], choice: Mapping[str, Any]
) -> None:
    outputs = [tmp_path / f"{name}.png" for name in ("cold", "warm", "held")]
    with Engine(device="cpu", swapper="mesh") as one:
        held = one.prepare(SOURCE, **choice)
        with Engine(device="cpu", swapper="mesh") as cold:
            first = cold.swap(SOURCE, still, outputs[0], **choice)
        second = one.swap(SOURCE, still, outputs[1], **choice)
        third = one.swap(held, still, outputs[2], **choice)
    assert len(prepared) == 2
    assert timeless(first) == timeless(second) == timeless(third)
    assert first.faces_swapped > 0
    assert len({output.read_bytes() for output in outputs}) == 1


def test_a_video_takes_the_kept_source(warm: Engine, tmp_path: Path, prepared: list[int]) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 200, 40))
    source = shutil.copy(SOURCE, tmp_path / "own.jpg")
    outputs = [tmp_path / "one.mkv", tmp_path / "two.mkv"]
    reports = [warm.swap(source, clip, output, **QUICK) for output in outputs]
    assert prepared == [1]
    assert timeless(reports[0]) == timeless(reports[1])
    for one, other in zip(*map(read_frames, outputs), strict=True):
        assert np.array_equal(one.to_rgb(), other.to_rgb())


def test_the_still_is_analysed_once(
    warm: Engine, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[tuple[int, int]] = []
    analyse = FaceAnalyser.analyse_picture

    def counted(self: FaceAnalyser, frame: Any, **how: Any) -> Any:
        looks.append(frame.size)
        return analyse(self, frame, **how)

    monkeypatch.setattr(FaceAnalyser, "analyse_picture", counted)
    held = warm.prepare(SOURCE)
    looks.clear()
    for choice in ({}, {"face_selector_mode": "many"}, {"face_selector_age_start": 1}):
        warm.swap(held, still, tmp_path / "out.png", overwrite=True, **choice)
        assert looks == [(400, 240)]
        looks.clear()
    warm.swap_image(held, still)
    assert looks == [(400, 240)]


def test_a_report_names_the_path_that_was_given(
    warm: Engine, still: Path, tmp_path: Path, prepared: list[int]
) -> None:
    # The largest face is cut off at the right.
    crowd = np.hstack([np.pad(picture(TWO), ((0, 272), (0, 0), (0, 0))), portrait(STRANGER, 512)])
    two = write_png(tmp_path / "crowd.png", crowd[:, :-256])
    (tmp_path / "elsewhere").mkdir()
    other = shutil.copy(two, tmp_path / "elsewhere" / "crowd.png")
    reports = [
        warm.swap(path, still, tmp_path / "out.png", overwrite=True, any_source=True)
        for path in (two, other)
    ]
    assert prepared == [1]
    for report, path in zip(reports, (two, other), strict=True):
        assert [source.path for source in report.sources] == [path]
        assert any(note.startswith(f"{path} shows 3 faces") for note in report.notes)
        assert all(f"source_image {path}" in warning for warning in report.warnings)
        assert report.warnings


def test_another_content_of_the_same_name_is_another_source(
    warm: Engine, still: Path, tmp_path: Path, prepared: list[int]
) -> None:
    source = tmp_path / "source.jpg"
    pictures = []
    for person in (STRANGER, MAN, STRANGER):
        shutil.copy(asset(person), source)
        pictures.append(warm.swap_image(source, still, pixel_boost=128))
    assert prepared == [1, 1]
    assert np.array_equal(pictures[0], pictures[2])
    assert not np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize(
    ("choice", "count"),
    [
        ({"detect_rotated": True}, 2),
        ({"landmarker": "face_mesh"}, 2),
        ({"occluder": None}, 2),
        ({"any_source": True}, 2),
        ({"content_check": False}, 2),
        ({"extra_source_image": str(asset(STRANGER))}, 2),
        ({"detect_every": 9, "pixel_boost": "256x256", "match_colour": True}, 1),
        ({"face_selector_mode": "many", "embedder": "sface", "keep_mouth": True}, 1),
    ],
)
def test_what_matters_to_a_source_prepares_it_anew(
    still: Path, tmp_path: Path, prepared: list[int], choice: Mapping[str, Any], count: int
) -> None:
    with Engine(device="cpu", swapper="mesh") as one:
        for given in ({}, choice, {}, choice):
            one.swap(SOURCE, still, tmp_path / "out.png", overwrite=True, **given)
    assert len(prepared) == count


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"detect_rotated": True}, "detect_rotated is False in it and True here"),
        ({"landmarker": "face_mesh"}, "landmarker is face_mesh_478 and face_mesh in it"),
        ({"occluder": None}, "occluder is occluder in it and none here"),
        ({"content_check": False}, "content_check is True in it and False here"),
        ({"extra_source_image": str(SOURCE)}, "extra_source_image is none in it and .* here"),
    ],
)
def test_a_prepared_source_that_does_not_fit_is_refused(
    warm: Engine, still: Path, tmp_path: Path, choice: Mapping[str, Any], words: str
) -> None:
    held = warm.prepare(SOURCE)
    with pytest.raises(ParameterError, match=f"prepared source that does not fit.*{words}.*leave"):
        warm.swap(held, still, tmp_path / "out.png", **choice)
    assert not (tmp_path / "out.png").exists()


def test_a_source_of_another_swapper_is_refused(warm: Engine, still: Path) -> None:
    with Engine(device="cpu", swapper=IdentitySwapper()) as own:
        held = own.prepare(SOURCE)
        own.swap_image(held, still)
        with pytest.raises(ParameterError, match=r"swapper is an object .*IdentitySwapper in it"):
            warm.swap_image(held, still)
        with pytest.raises(ParameterError, match="swapper is mesh in it"):
            own.swap_image(warm.prepare(SOURCE), still)


def test_its_parameters_hold_for_its_swaps(warm: Engine, still: Path, tmp_path: Path) -> None:
    held = warm.prepare(SOURCE, any_source=True, occluder=None, crf=20)
    report = warm.swap(held, still, tmp_path / "out.png")
    assert report.parameters["any_source"] is True
    assert report.parameters["occluder"] is None
    assert report.parameters["crf"] is None


def test_a_source_in_memory_is_prepared_and_named(warm: Engine, still: Path) -> None:
    pixels = read_image(SOURCE).to_rgb()
    held = warm.prepare(pixels)
    assert held.paths == (Path("source_image"),)
    swapped = warm.swap_image(held, still)
    assert np.array_equal(swapped, warm.swap_image(pixels, still))
    frames = [picture(TWO)] * 2
    pairs = zip(warm.swap_frames(held, frames), warm.swap_frames(pixels, frames), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_the_files_of_a_prepared_source_are_not_overwritten(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copy(SOURCE, tmp_path / "own.jpg"))
    held = warm.prepare(source)
    with pytest.raises(MediaError, match=r"own\.jpg"):
        warm.swap(held, still, source, overwrite=True)
    assert source.read_bytes() == SOURCE.read_bytes()


def test_a_closed_engine_forgets_its_sources(still: Path, prepared: list[int]) -> None:
    one = Engine(device="cpu", swapper="mesh")
    for _ in range(2):
        one.swap_image(SOURCE, still, pixel_boost=128)
        one.close()
    assert prepared == [1, 1]


def test_threads_share_a_source(warm: Engine, still: Path) -> None:
    held = warm.prepare(SOURCE)
    with ThreadPoolExecutor(3) as pool:
        pictures = list(pool.map(lambda _: warm.swap_image(held, still), range(6)))
    assert all(np.array_equal(pictures[0], other) for other in pictures)


def test_the_pictures_of_a_clip_are_counted(warm: Engine, tmp_path: Path) -> None:
    shown = picture([Spot(STRANGER, 100)])
    clip = make_clip(
        tmp_path / "clip.mkv",
        codec="ffv1",
        size=(400, 240),
        frames=5,
        fps=1,
        paint=lambda *_: shown,
    )
    seen: list[Progress] = []
    warm.prepare(clip, observe=seen.append)
    assert {one.stage for one in seen} == {"reading the source"}
    counts = [(one.done, one.total) for one in seen]
    assert counts == [(0, None), *((done, 10) for done in range(1, 11))]
    seen.clear()
    warm.prepare(SOURCE, observe=seen.append, any_source=True)
    assert [(one.done, one.total) for one in seen] == [(0, None)]
