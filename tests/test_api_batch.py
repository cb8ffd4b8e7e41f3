"""Many targets in one run, by the embedded networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import Cancelled, MediaError, NoFaceFound, OutputExists, ParameterError
from engine.media.decode import read_image
from engine.pipeline.batch import BatchRow
from engine.pipeline.video import Progress
from engine.swappers.mesh.warp import MeshWarp
from tests.footage import STRANGER, TWO, asset, picture, write_clip, write_png

pytestmark = pytest.mark.slow

SOURCE = asset(STRANGER)
QUICK: dict[str, Any] = {"pixel_boost": "128x128", "video_codec": "ffv1"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu", swapper="mesh") as one:
        yield one


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder: a picture, one without a face, one that is no picture, and a clip."""
    folder = tmp_path_factory.mktemp("album")
    write_png(folder / "a.png", picture(TWO))
    write_png(folder / "b.png", picture(()))
    (folder / "c.jpg").write_text("no picture")
    write_clip(folder / "d.mkv", range(0, 160, 40))
    return folder


def test_errors_stay_beside_their_row_and_the_work_goes_on(
    warm: Engine, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = 0
    prepare = MeshWarp.prepare

    def counted(self: MeshWarp, portraits: Any) -> Any:
        nonlocal prepared
        prepared += 1
        return prepare(self, portraits)

    monkeypatch.setattr(MeshWarp, "prepare", counted)
    warm.close()
    out = tmp_path / "out"
    results = list(warm.swap_many(SOURCE, album, out, **QUICK))
    assert prepared == 1
    assert [result.row.target.name for result in results] == ["a.png", "b.png", "c.jpg", "d.mkv"]
    assert [result.state for result in results] == ["swapped", "failed", "failed", "swapped"]
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "d.mkv"]
    first, nobody, broken, clip = results
    assert isinstance(nobody.error, NoFaceFound)
    assert isinstance(broken.error, MediaError)
    assert first.report is not None
    assert clip.report is not None
    assert clip.report.frames == 4
    alone = tmp_path / "alone.png"
    warm.swap(SOURCE, album / "a.png", alone, **QUICK)
    assert np.array_equal(read_image(alone).to_rgb(), read_image(out / "a.png").to_rgb())
    told = [result.to_dict() for result in results]
    assert told[0]["report"]["output"] == str(out / "a.png")
    assert told[1]["error"]["kind"] == "NoFaceFound"
    assert told[1]["error"]["exit_code"] == 4


def test_a_second_run_goes_on_where_the_first_ended(
    warm: Engine, album: Path, tmp_path: Path
) -> None:
    targets = [album / "a.png", album / "d.mkv"]
    batch = warm.swap_many(SOURCE, targets, tmp_path, **QUICK)
    assert next(batch).state == "swapped"
    batch.close()
    rest = warm.swap_many(SOURCE, targets, tmp_path, skip_existing=True, **QUICK)
    assert [result.state for result in rest] == ["skipped", "swapped"]
    again = list(warm.swap_many(SOURCE, targets, tmp_path, **QUICK))
    assert all(isinstance(result.error, OutputExists) for result in again)
    new = warm.swap_many(SOURCE, targets[:1], tmp_path, overwrite=True, **QUICK)
    assert [result.state for result in new] == ["swapped"]


def test_an_observer_that_raises_ends_the_batch(warm: Engine, album: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise Cancelled("enough")

    targets = [album / "a.png", album / "d.mkv", album / "a.png"]
    with pytest.raises(ParameterError, match="have the same output"):
        warm.swap_many(SOURCE, targets, tmp_path)
    batch = warm.swap_many(SOURCE, targets[:2], tmp_path, observe=stop, **QUICK)
    assert next(batch).state == "swapped"
    with pytest.raises(Cancelled, match="enough"):
        next(batch)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_rows_have_parameters_of_their_own_and_a_prepared_source(
    warm: Engine, album: Path, tmp_path: Path
) -> None:
    held = warm.prepare(SOURCE)
    rows = [
        BatchRow(held, album / "a.png", tmp_path / f"{mode}.png", {"face_selector_mode": mode})
        for mode in ("one", "many")
    ]
    counts = [result.report and result.report.faces_swapped for result in warm.swap_batch(rows)]
    assert counts == [1, 2]


def test_nothing_begins_before_all_is_valid(warm: Engine, album: Path, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="crf is 99"):
        warm.swap_many(SOURCE, album, tmp_path / "out", crf=99)
    listed = tmp_path / "list.csv"
    listed.write_text(f"source,target,output\n{SOURCE},{album}/a.png,x.png\n,,\n,y,\n")
    with pytest.raises(ParameterError, match="line 4: source is missing"):
        warm.swap_batch(listed)
    assert not (tmp_path / "x.png").exists()
    with pytest.raises(ParameterError, match="is also the target of"):
        warm.swap_many(SOURCE, album, album)


def test_a_folder_that_cannot_be_made_is_an_error_of_its_row(
    warm: Engine, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    row = BatchRow(SOURCE, album / "a.png", tmp_path / "file" / "a.png", {})
    (result,) = warm.swap_batch([row])
    assert isinstance(result.error, MediaError)


def test_work_files_are_those_that_are_asked_for(
    warm: Engine, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    def swap(self: Engine, *_: Any, **keywords: Any) -> None:
        told.append(keywords)

    monkeypatch.setattr(Engine, "swap", swap)
    work: Any = {"work_dir": tmp_path, "work_limit": 2.0, "fresh": True}
    list(warm.swap_many(SOURCE, [album / "a.png"], tmp_path / "out", **work))
    assert told[0].items() >= work.items()
