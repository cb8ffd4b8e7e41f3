"""Previews: one frame before and after, without swapping the film."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import ContentBlocked, MediaError, OutputExists, ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.media.decode import read_frames, read_image
from engine.pipeline import preview
from engine.pipeline.records import describe
from engine.pipeline.video import Progress
from engine.plan.cast import RoleKeywords
from engine.trust import content
from engine.values import Analysed, Frame
from tests.footage import MAN, STRANGER, TWO, WOMAN, Spot, asset, picture, write_clip, write_png

pytestmark = pytest.mark.slow

QUICK: dict[str, Any] = {
    "swapper": "mesh",
    "pixel_boost": "128x128",
    "video_codec": "ffv1",
    "face_selector_mode": "many",
}
CHANGED = (Spot(MAN, 20, 30), Spot(WOMAN, 210, 50))
TIMES = tuple(range(0, 1000, 40))
CUT = 12  # index of the second shot's first frame


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(
        tmp_path_factory.mktemp("film") / "two shots.mkv",
        TIMES,
        paint=lambda index, _: (
            picture(TWO, index) if index < CUT else 255 - picture(CHANGED, index - CUT)
        ),
    )


@pytest.fixture(scope="module")
def swapped(warm: Engine, film: Path) -> list[Frame]:
    output = film.with_name("swapped.mkv")
    warm.swap(asset(STRANGER), film, output, **QUICK)
    return list(read_frames(output))


@pytest.mark.parametrize("number", [1, 7, CUT, CUT + 1, 25])
def test_its_pixels_are_those_of_the_swap(
    number: int, warm: Engine, film: Path, swapped: list[Frame], tmp_path: Path
) -> None:
    output = tmp_path / "preview.png"
    made = warm.preview(asset(STRANGER), film, output, frame=number, **QUICK)
    assert made.seconds == TIMES[number - 1] / 1000
    for plane, expected in zip(made.after.planes, swapped[number - 1].planes, strict=True):
        np.testing.assert_array_equal(plane, expected)
    assert [face.reason for face in made.faces] == ["chosen"] * len(made.faces)
    written = read_image(output).to_rgb()
    assert written.shape[1] == 2 * 400 + 3 * 12
    top = written[36:276]
    np.testing.assert_array_equal(top[:, 12:412], made.before.to_rgb())
    np.testing.assert_array_equal(top[:, 424:824], made.after.to_rgb())
    assert b"compositeWithTrainedAlgorithmicMedia" in output.read_bytes()


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ({"time": 0.44}, 12),
        ({"time": "00:00:00.499"}, 13),
        ({"time": 0}, 1),
        ({}, 1),
        ({"frame": 3, "start": 0.2}, 8),
        ({"time": 0.28, "start": 0.28}, 8),
    ],
)
def test_a_frame_is_named_by_number_or_time(
    place: dict[str, Any], number: int, warm: Engine, film: Path, tmp_path: Path
) -> None:
    made = warm.preview(asset(STRANGER), film, tmp_path / "preview.png", **place, **QUICK)
    assert made.seconds == TIMES[number - 1] / 1000


def test_only_the_shot_of_the_frame_is_analysed(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    analyse = FaceAnalyser.analyse

    def counted(self: FaceAnalyser, frames: Iterable[Frame], *given: Any) -> Iterator[Analysed]:
        def noted() -> Iterator[Frame]:
            for frame in frames:
                read.append(frame.pts)
                yield frame

        return analyse(self, noted(), *given)

    monkeypatch.setattr(FaceAnalyser, "analyse", counted)
    warm.preview(asset(STRANGER), film, tmp_path / "preview.png", frame=20, **QUICK)
    assert read[0] == TIMES[CUT]


def test_an_analysis_serves_a_preview(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analysis = warm.analyse(film, tmp_path / "film.faces")

    def refuse(*_: object) -> Never:
        raise AssertionError("The film is analysed again.")

    monkeypatch.setattr(FaceAnalyser, "analyse", refuse)
    made = warm.preview(
        asset(STRANGER), film, tmp_path / "one.png", frame=5, analysis=analysis, **QUICK
    )
    assert len(made.faces) == 2


def test_a_still_is_shown_before_and_after(warm: Engine, tmp_path: Path) -> None:
    still = write_png(tmp_path / "two.png", picture(TWO))
    made = warm.preview(asset(STRANGER), still, tmp_path / "preview.png", **QUICK)
    expected = warm.swap_image(
        asset(STRANGER), still, swapper="mesh", pixel_boost="128x128", face_selector_mode="many"
    )
    np.testing.assert_array_equal(made.after.to_rgb(), expected)


@pytest.mark.parametrize(
    ("place", "name", "error", "words"),
    [
        ({"frame": 26}, "o.png", ParameterError, "The frame number is 26, but .* has only 25"),
        ({"time": 9}, "o.png", ParameterError, "The time is 9 s, but .* ends at 1"),
        ({"frame": 0}, "o.png", ParameterError, "frame is 0; allowed: a whole number from 1"),
        ({"time": "soon"}, "o.png", ParameterError, "time is 'soon'; allowed: seconds from 0"),
        ({"time": -1}, "o.png", ParameterError, "time is -1; allowed"),
        ({"frame": 1, "time": 1}, "o.png", ParameterError, "allowed: one of them"),
        ({"time": 0.2, "start": 0.4}, "o.png", ParameterError, "is not in the part"),
        ({"time": 0.4, "end": 0.4}, "o.png", ParameterError, "is not in the part"),
        ({}, "o.mp4", MediaError, "must end in one of"),
        ({}, "there.png", OutputExists, "exists"),
    ],
)
def test_a_preview_that_cannot_be_made_is_refused(
    place: dict[str, Any],
    name: str,
    error: type[Exception],
    words: str,
    warm: Engine,
    film: Path,
    tmp_path: Path,
) -> None:
    (tmp_path / "there.png").write_bytes(b"")
    with pytest.raises(error, match=words):
        warm.preview(asset(STRANGER), film, tmp_path / name, **place, **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_the_frame_is_checked(
    warm: Engine, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = content.ContentCheck.check_frame

    def strict(self: content.ContentCheck, frame: Frame) -> None:
        monkeypatch.setattr(content, "LIMIT", 0.0)
        check(self, frame)

    monkeypatch.setattr(content.ContentCheck, "guard", lambda _, frames: frames)
    monkeypatch.setattr(content.ContentCheck, "check_frame", strict)
    with pytest.raises(ContentBlocked):
        warm.preview(asset(STRANGER), film, tmp_path / "preview.png", frame=2, **QUICK)
    assert not list(tmp_path.iterdir())


def test_a_cast_is_previewed(warm: Engine, film: Path, tmp_path: Path) -> None:
    roles: list[RoleKeywords] = [
        {"name": "left", "source": str(asset(STRANGER)), "frame": 1, "point": (100, 120)},
        {"name": "right", "keep": True, "frame": 1, "point": (300, 120)},
    ]
    made = warm.preview(
        None,
        film,
        tmp_path / "one.png",
        frame=4,
        cast=roles,
        swapper="mesh",
        pixel_boost="128x128",
    )
    left, right = sorted(made.faces, key=lambda face: face.box)
    assert (left.role, left.chosen, right.role, right.chosen) == ("left", True, "right", False)
    assert "left, nearest" in describe(left)


def test_a_swap_that_is_stopped_leaves_nothing(warm: Engine, film: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warm.swap(
            asset(STRANGER),
            film,
            tmp_path / "out.mkv",
            trace=tmp_path / "out.jsonl",
            review=tmp_path / "out.png",
            observe=stop,
            **QUICK,
        )
    assert not list(tmp_path.iterdir())


def scene(cuts: tuple[int, ...]) -> Callable[[int, tuple[int, int]], Any]:
    """Return a painter of grey frames whose brightness changes at cuts."""
    return lambda index, size: np.full(
        (size[1], size[0], 3), 40 + 90 * (sum(cut <= index for cut in cuts) % 2), np.uint8
    )


@pytest.mark.parametrize(
    ("cuts", "at", "earliest", "start"),
    [
        ((100,), 5.0, 0.0, 4.0),  # the shot begins a second before
        ((100,), 9.02, 0.0, 6.8),  # two seconds before would be 7.02: whole intervals after 4 s
        ((), 1.0, 0.0, 0.0),  # the film begins
        ((), 5.0, 4.48, 4.48),  # the part begins
        ((), 11.0, 0.0, 9.0),  # no cut is near
    ],
)
def test_analysis_begins_where_the_swap_s_frames_are_alike(
    cuts: tuple[int, ...], at: float, earliest: float, start: float, tmp_path: Path
) -> None:
    film = write_clip(
        tmp_path / "film.mkv", range(0, 12_000, 40), paint=scene(cuts), size=(64, 48), sounds=()
    )
    assert preview._analysis_start(film, at, earliest, every=5) == pytest.approx(start)
