"""Whole swaps whose source is a clip of the person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from engine.api import Engine
from engine.errors import ContentBlocked, MediaError, NoFaceFound
from engine.media.decode import read_image
from engine.pipeline.report import SwapReport
from engine.pixels.planes import thumbnail
from engine.trust import content
from engine.values import Bytes
from tests.footage import (
    MAN,
    STRANGER,
    WOMAN,
    Spot,
    asset,
    picture,
    write_clip,
    write_png,
)
from tests.synth import make_clip

SIDE = 400
QUICK: dict[str, Any] = {"swapper": "mesh", "pixel_boost": "128x128", "face_selector_mode": "one"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "one.png", picture([Spot(WOMAN, 15)]))


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "result.png"


def sharp(who: str, side: int = SIDE) -> Bytes:
    return thumbnail(read_image(asset(who)), (side, side))


def blurred(who: str) -> Bytes:
    return np.asarray(cv2.GaussianBlur(sharp(who), (0, 0), 5), np.uint8)


def wall() -> Bytes:
    return np.full((SIDE, SIDE, 3), 90, np.uint8)


def film(path: Path, pictures: Sequence[Bytes], **properties: Any) -> Path:
    """Write a clip of pictures, one per second."""
    given: dict[str, Any] = {"codec": "ffv1", "pix_fmt": "yuv444p", "fps": 1}
    height, width = pictures[0].shape[:2]
    return make_clip(
        path,
        **{**given, **properties},
        size=(width, height),
        frames=len(pictures),
        paint=lambda number, _: pictures[number],
    )


def instants(report: SwapReport, field: str = "source_image") -> list[float | None]:
    return [source.seconds for source in report.sources if source.field == field]


def samples(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.stack(read_image(path).planes).astype(np.float64)


def test_the_sharp_picture_of_a_clip_is_taken_and_told(
    warm: Engine, still: Path, result: Path, tmp_path: Path
) -> None:
    clip = film(
        tmp_path / "clip.mkv", [wall(), blurred(STRANGER), sharp(STRANGER), blurred(STRANGER)]
    )
    report = warm.swap(clip, still, result, **QUICK)
    assert instants(report) == [2.0]
    assert report.to_dict()["sources"] == [
        {"field": "source_image", "path": str(clip), "seconds": 2.0}
    ]
    assert f"{clip} is a video: of 4 pictures that were looked at, taken: 2.00 s." in report.notes
    assert report.content.source_score is not None
    alone = tmp_path / "alone.png"
    from_still = warm.swap(write_png(tmp_path / "s.png", sharp(STRANGER)), still, alone, **QUICK)
    assert instants(from_still) == [None]
    assert np.abs(samples(result) - samples(alone)).mean() < 0.5


@pytest.mark.parametrize("turns", [90, 180, 270])
def test_a_clip_that_was_held_upright_is_turned(
    warm: Engine, still: Path, result: Path, tmp_path: Path, turns: int
) -> None:
    upright = sharp(STRANGER)
    coded = np.rot90(upright, -turns // 90)
    clip = film(
        tmp_path / "clip.mov", [coded] * 2, codec="libx264", pix_fmt="yuv420p", rotation=turns
    )
    warm.swap(clip, still, result, **QUICK)
    alone = tmp_path / "alone.png"
    warm.swap(write_png(tmp_path / "s.png", upright), still, alone, **QUICK)
    assert np.abs(samples(result) - samples(alone)).mean() < 1.5


@pytest.mark.parametrize(
    ("name", "properties"),
    [
        ("ten.mkv", {"pix_fmt": "yuv420p10le"}),
        ("a.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ("a.apng", {"codec": "apng", "pix_fmt": "rgb24"}),
    ],
)
def test_deep_clips_and_animated_pictures_serve_as_well(
    warm: Engine, still: Path, result: Path, tmp_path: Path, name: str, properties: dict[str, Any]
) -> None:
    clip = film(tmp_path / name, [wall(), sharp(STRANGER)], **properties)
    assert instants(warm.swap(clip, still, result, **QUICK)) == [1.0]


def test_a_still_tells_whom_of_a_clip_to_take(
    warm: Engine, still: Path, result: Path, tmp_path: Path
) -> None:
    # The man is larger in each picture.
    small = wall()
    small[60:260, 60:260] = sharp(STRANGER, 200)
    clip = film(tmp_path / "both.mkv", [np.hstack([sharp(MAN), small])] * 3)
    alone = warm.swap(clip, still, result, **QUICK)
    assert f"{clip} shows other people beside the one who is taken." in alone.notes
    assert not any("pixels wide" in warning for warning in alone.warnings)
    settings = {**QUICK, "extra_source_image": clip, "overwrite": True}
    report = warm.swap(asset(STRANGER), still, result, **settings)
    assert instants(report) == [None]
    assert instants(report, "extra_source_image")
    assert any("pixels wide" in warning for warning in report.warnings)


def test_clips_that_cannot_serve_are_named_with_the_remedy(
    warm: Engine, still: Path, result: Path, tmp_path: Path
) -> None:
    empty = film(tmp_path / "empty.mkv", [wall()] * 3)
    with pytest.raises(NoFaceFound, match=r"source_image .*empty\.mkv, in 3 pictures.*choose"):
        warm.swap(empty, still, result, **QUICK)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(empty.read_bytes()[:300])
    with pytest.raises(MediaError, match=r"broken\.mkv"):
        warm.swap(broken, still, result, **QUICK)
    half = np.hstack([np.zeros_like(wall())[:, : SIDE // 2], sharp(STRANGER)[:, : SIDE // 2]])
    cut = film(tmp_path / "cut.mkv", [half] * 2)
    with pytest.raises(NoFaceFound, match=r"cut\.mkv \(at its best at \d\.00 s\) has \d+% of"):
        warm.swap(cut, still, result, **QUICK)
    assert not result.exists()


def test_every_picture_that_is_looked_at_is_checked(
    warm: Engine, still: Path, result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(picture: Bytes, _: object) -> float:
        return 0.9 if picture[..., 0].min() > 200 else 0.1

    monkeypatch.setattr(content, "explicit_score", score)
    red = np.full((SIDE, SIDE, 3), (250, 0, 0), np.uint8)
    clip = film(tmp_path / "clip.mkv", [sharp(STRANGER), red, sharp(STRANGER)])
    with pytest.raises(ContentBlocked, match=r"clip\.mkv"):
        warm.swap(clip, still, result, **QUICK)
    assert not result.exists()


def test_reading_a_clip_can_be_ended(
    warm: Engine, still: Path, result: Path, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 400, 40))
    heard: list[str] = []

    def observe(progress: Any) -> None:
        heard.append(progress.stage)
        if heard.count("reading the source") > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warm.swap(clip, still, result, observe=observe, **QUICK)
    assert set(heard) == {"loading networks", "reading the source"}
