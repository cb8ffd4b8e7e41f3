"""Networks calibrated on faces, by stand-ins of the packs' networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import MediaError, NoFaceFound, ParameterError, WeightsError, WeightsMissing
from engine.faces.analyser import FaceAnalyser
from engine.media.decode import read_frames, read_image
from engine.optimise import prepare
from engine.optimise.int8 import Int8Calibration, Sample, SampleMaker
from engine.pipeline import int8_calibration
from engine.pipeline.stages import align
from engine.pipeline.video import Progress
from engine.values import Aligned, Face, Frame
from engine.weights.weight_store import WeightStore
from tests import people
from tests.album import write_album
from tests.doubles import FIVE
from tests.footage import MAN, STRANGER, TWO, asset, picture, write_clip, write_png
from tests.live_arrays import LiveArrays
from tests.runtime.painters import save_painter, save_restorer
from tests.swappers import stand_ins

NAME, RESTORER = "inswapper_128", "gfpgan_1.4"


def imported(folder: Path, outlier: float = 1.0) -> WeightStore:
    save_painter(folder / f"{NAME}.onnx", outlier=outlier)
    save_restorer(folder / f"{RESTORER}.onnx")
    stand_ins.embedder(folder / "w600k_r50.onnx")
    store = WeightStore(user_folder=folder / "user")
    store.import_path(folder)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    return imported(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_album(tmp_path_factory.mktemp("pictures") / "album")


class Kept:
    """Replaces the quantiser, and keeps its arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.samples: list[Sample] = []
        self.held_out: list[Sample] = []
        monkeypatch.setattr(int8_calibration, "calibrate", self._calibrate)

    def _calibrate(
        self, store: WeightStore, name: str, samples: Iterable[Sample], held_out: Sequence[Sample]
    ) -> Int8Calibration:
        self.samples, self.held_out = list(samples), list(held_out)
        return Int8Calibration("", 40.0, len(self.samples), len(self.held_out), reduced=False)


def test_a_calibrated_swapper_swaps_as_at_fp32_but_for_rounding(
    store: WeightStore, album: Path, tmp_path: Path
) -> None:
    still = write_png(tmp_path / "two.png", picture(TWO))
    settings: dict[str, Any] = {
        "content_check": False,
        "face_selector_mode": "many",
        "pixel_boost": "128x128",
    }
    heard: list[Progress] = []
    with Engine(device="auto", swapper=NAME, weights=store) as engine:
        with pytest.raises(WeightsMissing, match=f"weights calibrate {NAME} PICTURES"):
            engine.swap(asset(STRANGER), still, tmp_path / "no.png", precision="int8", **settings)
        done = engine.calibrate(NAME, [album], observe=heard.append)
        assert (done.name, done.files, done.faces, done.skipped) == (NAME, 9, 18, ())
        assert (done.result.samples, done.result.held_out) == (14, 4)
        assert heard == [Progress(number, 14, "calibrating") for number in range(15)]
        report = engine.swap(
            asset(STRANGER), still, tmp_path / "int8.png", precision="int8", **settings
        )
        engine.swap(asset(STRANGER), still, tmp_path / "fp32.png", **settings)
    assert (report.setup.device, report.faces_swapped) == ("cpu", 2)
    (note,) = (note for note in report.notes if "int8" in note)
    assert f"{done.result.psnr:.1f} dB" in note
    before, whole, single = (
        np.stack(read_image(path).planes).astype(float)
        for path in (still, tmp_path / "int8.png", tmp_path / "fp32.png")
    )
    assert 0 < np.abs(whole - single).max() <= 12
    assert np.abs(single - before).mean() > 5 * np.abs(whole - single).mean()


def test_samples_are_what_the_swapper_is_given_of_one_face_for_another(
    store: WeightStore, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(monkeypatch)
    with Engine(device="cpu", weights=store) as engine:
        engine.calibrate(NAME, [album])
    pictures = [sample[0] for sample in (*kept.samples, *kept.held_out)]
    latents = [sample[1] for sample in (*kept.samples, *kept.held_out)]
    assert {one.shape for one in pictures} == {(1, 3, 128, 128)}
    assert min(map(np.min, pictures)) >= 0
    assert 0.5 < max(map(np.max, pictures)) <= 1
    np.testing.assert_allclose([np.linalg.norm(one) for one in latents], 1, rtol=1e-5)
    # Each person is in the album more than once, but no crop and no latent is.
    assert len({one.tobytes() for one in pictures}) == len(pictures) == 18
    assert len({one.tobytes() for one in latents}) == 18


def test_the_last_files_are_held_out(
    store: WeightStore, album: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = Kept(monkeypatch)
    dark = write_png(tmp_path / "dark.png", picture(TWO) // 3)
    darker = write_png(tmp_path / "darker.png", picture(TWO, 3) // 3)
    with Engine(device="cpu", weights=store) as engine:
        done = engine.calibrate(NAME, [album, dark, darker])
    assert done.faces == 22
    assert [bool(sample[0].max() < 0.4) for sample in kept.held_out] == [True] * 4
    assert not any(sample[0].max() < 0.4 for sample in kept.samples)


def test_a_restorer_is_given_its_own_crops(
    store: WeightStore, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(monkeypatch)
    with Engine(device="cpu", weights=store) as engine:
        engine.calibrate(RESTORER, [album])
    assert {tuple(array.shape for array in sample) for sample in kept.samples} == {
        ((1, 3, 512, 512),)
    }
    assert min(sample[0].min() for sample in kept.samples) < -0.5


def test_a_video_is_looked_at_in_many_places(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = Kept(monkeypatch)
    clip = write_clip(tmp_path / "clip.mkv", range(0, 2400, 40))
    with Engine(device="cpu", weights=store) as engine:
        done = engine.calibrate(NAME, [clip, clip])
    # 2.4 seconds, looked at every fifth of a second; the same file is not looked at twice.
    assert (done.files, done.faces) == (1, 24)
    assert len(kept.samples) + len(kept.held_out) == 24


@dataclass
class Crowds:
    """Sees so many faces in each picture; their scores tell which of all pictures it was."""

    sizes: Iterator[int]
    looks: int = 0

    def analyse_picture(self, frame: Frame) -> tuple[Face, ...]:
        one = people.face(10, 10, min(frame.size) - 20)
        one = replace(one, mesh=replace(one.mesh, score=self.looks / 1000))
        self.looks += 1
        return (one,) * next(self.sizes)


@dataclass(frozen=True)
class Taken:
    """Result of a calibration: numbers of the pictures of all sampled and of held-out faces."""

    done: int8_calibration.Calibrated
    pictures: list[int]
    held_out: list[int]
    alive: int


def taken(path: Path, crowds: Crowds, monkeypatch: pytest.MonkeyPatch, most: int = 20) -> Taken:
    kept, alive = Kept(monkeypatch), LiveArrays()

    def aligned(*args: Any) -> Aligned:
        target = align(*args)
        alive.watch(target.pixels)
        return target

    monkeypatch.setattr(int8_calibration, "align", aligned)
    monkeypatch.setattr(int8_calibration, "MAX_FACES", most)
    feed = SampleMaker(
        name="a network",
        template=FIVE,
        side=16,
        needs_embedding=False,
        encode=lambda _: None,
        sample=lambda target, _: (np.array(target.score),),
    )
    analyser = cast("FaceAnalyser", crowds)
    done = int8_calibration.calibrate_network(feed, [path], WeightStore(), analyser)
    rest, held_out = (
        [round(1000 * float(sample[0])) for sample in samples]
        for samples in (kept.samples, kept.held_out)
    )
    return Taken(done, rest + held_out, held_out, alive.most)


def stills(folder: Path, many: int) -> Path:
    folder.mkdir()
    for number in range(many):
        write_png(folder / f"{number:03}.png", picture(()))
    return folder


@pytest.mark.parametrize(
    ("sizes", "taken_of"),
    [
        ((8, 8, 8, 8, 8), {4}),
        ((40, 40, 40), {6, 7}),
        ((1, 30, 0, 2, 30, 1), {1, 2, 8}),
        ((1,) * 50, {1}),
    ],
    ids=["groups", "crowds", "some groups", "more files than faces are of use"],
)
def test_files_give_as_many_faces_as_each_other_and_no_more_are_held_than_are_of_use(
    sizes: tuple[int, ...],
    taken_of: set[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    album = stills(tmp_path / "album", len(sizes))
    found = taken(album, Crowds(iter(sizes)), monkeypatch)
    of_each = Counter(found.pictures)
    assert len(found.pictures) == found.done.faces == 20
    assert found.done.files == len(of_each) == min(20, sum(size > 0 for size in sizes))
    assert set(of_each.values()) == taken_of
    # Those kept, one that is given up, and the next one that is cut.
    assert found.alive <= 20 + 2


@pytest.mark.parametrize("step", [2, 9])
def test_files_are_looked_at_until_enough_have_given_faces(
    step: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    album = stills(tmp_path / "album", 20 * step)
    found = taken(album, Crowds(int(number % step == 1) for number in count()), monkeypatch)
    assert (found.done.faces, found.done.files) == (20, 20)
    # Those between were looked at later, and yet go in by name.
    assert found.pictures == sorted(found.pictures, key=lambda look: (look % 20, look // 20))
    with pytest.raises(NoFaceFound, match=r"^0 faces were found"):
        taken(album, Crowds(repeat(0)), monkeypatch)


def test_pictures_are_found_among_what_lies_beside_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    album = stills(tmp_path / "album", 20)
    for still in list(album.iterdir()):
        still.with_suffix(".json").write_text("{}")
    found = taken(album, Crowds(repeat(1)), monkeypatch)
    assert (found.done.faces, found.done.files) == (20, 20)
    assert all(".json" in sentence for sentence in found.done.skipped)


def test_files_that_are_none_leave_a_clip_all_its_pictures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    album.mkdir()
    write_clip(album / "clip.mkv", range(0, 4000, 40), ())
    for number in range(40):
        (album / f"{number}.json").write_text("{}")
    found = taken(album, Crowds(repeat(1)), monkeypatch)
    assert (found.done.faces, found.done.files, len(found.done.skipped)) == (20, 1, 40)


def test_the_faces_of_a_clip_that_breaks_off_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    album = tmp_path / "album"
    album.mkdir()
    clip = write_clip(album / "clip.mkv", range(0, 4000, 40), ())

    def breaking(path: Path) -> Iterator[Frame]:
        yield from islice(read_frames(path), 90)
        raise MediaError(f"{path} breaks off.")

    monkeypatch.setattr(int8_calibration, "read_frames", breaking)
    found = taken(album, Crowds(repeat(1)), monkeypatch)
    assert (found.done.faces, found.done.skipped) == (18, (f"{clip} breaks off.",))


def test_the_faces_of_a_clip_are_of_all_its_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 4000, 40), ())
    found = taken(clip, Crowds(repeat(9)), monkeypatch)
    assert found.pictures == sorted(found.pictures)
    # Twenty pictures are looked at, and lots say which of their faces stay.
    of_quarters = Counter(number // 5 for number in found.pictures)
    assert of_quarters.keys() == {0, 1, 2, 3}
    assert max(of_quarters.values()) <= 8
    assert len(set(found.pictures)) >= 10


@pytest.mark.parametrize(
    ("sizes", "held_out"),
    [
        ((7, 7, 3, 3), {2, 3}),
        ((10, 4, 6), {2}),
        ((5, 15), {1}),
        ((20,), {0}),
    ],
)
def test_whole_files_are_held_out_unless_these_are_over_half(
    sizes: tuple[int, ...],
    held_out: set[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    album = stills(tmp_path / "album", len(sizes))
    found = taken(album, Crowds(iter(sizes)), monkeypatch)
    assert set(found.held_out) == held_out
    rest = found.pictures[: -len(found.held_out)]
    assert found.done.apart == held_out.isdisjoint(rest)
    assert found.done.apart == (len(sizes) > 2)
    assert 4 <= len(found.held_out) <= 10


def test_too_few_faces_are_refused(store: WeightStore, tmp_path: Path) -> None:
    album = write_album(tmp_path / "album", 2)
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(NoFaceFound, match=r"^4 faces were found in .*album.* at least 16"),
    ):
        engine.calibrate(NAME, [album])
    alone = write_png(tmp_path / "alone.png", picture(TWO[:1]))
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(NoFaceFound, match=r"^1 face was found in .*alone\.png, and "),
    ):
        engine.calibrate(NAME, [alone])
    with Engine(device="cpu", weights=store) as engine, pytest.raises(ParameterError):
        engine.calibrate(NAME, [])


def test_a_folder_without_pictures_is_refused(
    store: WeightStore, album: Path, tmp_path: Path
) -> None:
    empty, notes = tmp_path / "empty", tmp_path / "notes"
    empty.mkdir()
    notes.mkdir()
    (notes / "notes.txt").write_text("not a picture")
    with Engine(device="cpu", weights=store) as engine:
        for given, named in (([album, empty], empty), ([notes], notes)):
            words = f"^There is no picture or video that can be read in {named}; name"
            with pytest.raises(MediaError, match=words):
                engine.calibrate(NAME, given)


def test_what_cannot_be_read_is_skipped_in_a_folder_and_refused_by_name(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Kept(monkeypatch)
    album = write_album(tmp_path / "album")
    notes = album / "notes.txt"
    notes.write_text("not a picture")
    (album / ".hidden").write_text("not looked at")
    with Engine(device="cpu", weights=store) as engine:
        done = engine.calibrate(NAME, [album])
        assert done.files == 9
        (sentence,) = done.skipped
        assert str(notes) in sentence
        with pytest.raises(MediaError, match=str(notes)):
            engine.calibrate(NAME, [album, notes])


def test_what_strays_is_refused_and_leaves_the_reason(tmp_path: Path, album: Path) -> None:
    store = imported(tmp_path, outlier=1e5)
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(WeightsError, match=rf"{NAME} cannot run at int8: output is .* dB"),
    ):
        engine.calibrate(NAME, [album])
    assert prepare.calibration(store, NAME) is None
    assert not list((tmp_path / "user").rglob("int8*.onnx"))
    with pytest.raises(WeightsError, match="was calibrated and cannot run at int8"):
        prepare.prepare(store, NAME, precision="int8")


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("w600k_r50", ParameterError, "role embedder.*allowed: .*inswapper_128.*gfpgan_1.4"),
        ("ghost_1_256", WeightsMissing, "ghost_1_256, and crossface_ghost that it needs, are"),
        ("mesh", WeightsMissing, "no network 'mesh'"),
    ],
)
def test_only_drawing_networks_that_are_here_are_calibrated(
    store: WeightStore, name: str, error: type[Exception], words: str
) -> None:
    with Engine(device="cpu", weights=store) as engine, pytest.raises(error, match=words):
        engine.calibrate(name, [asset(MAN)])


@pytest.mark.parametrize("many", [20, 25])
def test_each_face_is_given_another_one_that_is_far_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    kept = Kept(monkeypatch)
    feed = SampleMaker(
        name="a network",
        template=FIVE,
        side=16,
        needs_embedding=False,
        encode=lambda portrait: portrait.face.mesh.score,
        sample=lambda target, source: (np.array(target.score), np.array(source)),
    )
    analyser = cast("FaceAnalyser", Crowds(repeat(1)))
    folder = stills(tmp_path / "pictures", many)
    int8_calibration.calibrate_network(feed, [folder], WeightStore(), analyser)
    for samples in (kept.samples, kept.held_out):
        targets, sources = np.rint(1000 * np.array(samples)).astype(int).T
        assert sorted(sources) == sorted(targets)
        assert np.abs(targets - sources).min() >= len(samples) // 2
