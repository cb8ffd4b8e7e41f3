"""Whole swaps with restorers, occluders and parsers, and with several sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.api import Engine
from engine.errors import ContentBlocked, MediaError, ParameterError, WeightsMissing
from engine.media.decode import read_frames, read_image
from engine.pipeline import remarks
from engine.runtime.batches import Batches
from engine.swappers.neural.network import NeuralSwapper
from engine.trust import content
from engine.values import Aligned, Bytes, Patch
from engine.weights.weight_store import WeightStore
from tests.compose import mask_networks
from tests.enhance import restorers
from tests.footage import MAN, STRANGER, TWO, WOMAN, Spot, asset, picture, write_clip, write_png
from tests.swappers import stand_ins

SOURCE = asset(STRANGER)
QUICK: dict[str, Any] = {"content_check": False, "face_selector_mode": "many"}
ONE: dict[str, Any] = {"content_check": False, "face_selector_mode": "one"}


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO))


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> WeightStore:
    """Import a tinted inswapper, a blendswap, two restorers, an occluder and a parser."""
    folder = tmp_path_factory.mktemp("packs")
    mask_networks.save_occluder(folder / "xseg_2.onnx")
    mask_networks.save_parser(folder / "bisenet_resnet_34.onnx")
    stand_ins.identity(folder / "blendswap_256.onnx")
    restorers.dimmed(folder, restorers.CODEFORMER)
    restorers.tinted(folder, restorers.GFPGAN)
    return stand_ins.inswapper(folder, stand_ins.tinted)


@pytest.fixture(scope="module")
def warm(packs: WeightStore) -> Iterator[Engine]:
    with Engine(device="cpu", weights=packs) as engine:
        yield engine


def samples(path: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.stack(read_image(path).planes).astype(np.float64)


def largest_difference(one: Path, other: Path) -> float:
    return float(np.abs(samples(one) - samples(other)).max())


def test_at_no_weight_at_all_it_does_not_matter_who_the_source_is(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    results = []
    for weight in (0.0, 1.0):
        for who in (STRANGER, MAN):
            results.append(tmp_path / f"{who} {weight}.png")
            warm.swap(asset(who), still, results[-1], source_weight=weight, **QUICK)
    assert largest_difference(*results[:2]) == 0
    assert largest_difference(*results[2:]) > 1
    assert largest_difference(results[0], results[2]) > 1


def test_several_pictures_of_the_source_are_averaged_in_whatever_order(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    one, other, alone = (tmp_path / f"{name}.png" for name in ("one", "other", "alone"))
    second = asset(STRANGER, "amateur_selfie")
    report = warm.swap(SOURCE, still, one, extra_source_image=[second], **QUICK)
    assert not any("extra_source_image" in note for note in report.notes)
    warm.swap(second, still, other, extra_source_image=[SOURCE], **QUICK)
    warm.swap(SOURCE, still, alone, **QUICK)
    assert largest_difference(one, other) <= 1
    assert largest_difference(one, alone) > 1


def test_a_picture_of_somebody_else_is_warned_of(
    warm: Engine, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {**QUICK, "extra_source_image": asset(MAN), "overwrite": True}
    result = tmp_path / "result.png"
    assert not warm.swap(SOURCE, still, result, **settings).warnings
    monkeypatch.setattr(remarks, "MAX_PERSON_DISTANCE", 0.0)
    (warning,) = warm.swap(SOURCE, still, result, **settings).warnings
    assert warning.startswith(f"extra_source_image {asset(MAN)} may show another person")


def test_every_picture_of_the_source_is_checked(
    warm: Engine, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def score(picture: Bytes, _: object) -> float:
        return 0.9 if picture[..., 0].min() > 200 else 0.1

    monkeypatch.setattr(content, "explicit_score", score)
    red = write_png(tmp_path / "red.png", np.full((240, 400, 3), (250, 0, 0), np.uint8))
    settings = {**QUICK, "content_check": True}
    with pytest.raises(ContentBlocked, match=r"red\.png"):
        warm.swap(SOURCE, still, tmp_path / "no.png", extra_source_image=red, **settings)
    assert not (tmp_path / "no.png").exists()


def test_a_picture_without_use_is_told_and_one_without_a_face_refused(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    blank = write_png(tmp_path / "blank.png", np.full((240, 400, 3), 90, np.uint8))
    with pytest.raises(ParameterError, match="extra_source_image"):
        warm.swap(SOURCE, still, tmp_path / "no.png", extra_source_image="https://a.b/c", **QUICK)
    with pytest.raises(LookupError, match=rf"extra_source_image {blank}"):
        warm.swap(SOURCE, still, tmp_path / "no.png", extra_source_image=blank, **QUICK)
    settings = {
        **QUICK,
        "swapper": "blendswap_256",
        "pixel_boost": "256x256",
        "extra_source_image": blank,
    }
    report = warm.swap(SOURCE, still, tmp_path / "yes.png", **settings)
    assert "extra_source_image has no effect: the swapper takes one picture of the source." in (
        report.notes
    )


@pytest.mark.parametrize(
    ("swapper", "boost"), [("inswapper_128", "128x128"), ("blendswap_256", "256x256")]
)
def test_networks_take_a_clip_as_source(
    warm: Engine, still: Path, tmp_path: Path, swapper: str, boost: str
) -> None:
    spots = [Spot(MAN, 15)]
    clip = write_clip(tmp_path / "clip.mkv", range(0, 200, 40), spots)
    settings = {**QUICK, "swapper": swapper, "pixel_boost": boost}
    report = warm.swap(clip, still, tmp_path / "yes.png", **settings)
    assert len(report.sources) == 1
    assert report.setup.readers["embedder"] == ("w600k_r50",)  # tells the person from others
    several = warm.swap(SOURCE, still, tmp_path / "too.png", extra_source_image=clip, **settings)
    takes_several = swapper == "inswapper_128"
    assert ("extra_source_image" in {one.field for one in several.sources}) == takes_several


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"swapper": "mesh"}, r"source_weight is 0\.5, and the swapper mesh"),
        ({"swapper": "blendswap_256", "pixel_boost": "256x256"}, r"source_weight.*blendswap_256"),
        ({"embedder": "sface"}, r"embedder is 'sface'; allowed with it: auto, w600k_r50"),
    ],
)
def test_a_weight_that_cannot_be_is_refused(
    warm: Engine, still: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        warm.swap(SOURCE, still, tmp_path / "no.png", source_weight=0.5, **{**QUICK, **settings})


def test_a_restorer_works_where_the_swap_shows_and_nowhere_else(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    plain, same, tinted = (tmp_path / f"{name}.png" for name in ("plain", "same", "tinted"))
    # Where an occluder doubts, so little of the swap shows that samples do not tell it.
    chosen: dict[str, Any] = {**ONE, "swapper": "mesh", "occluder": "none"}
    warm.swap(SOURCE, still, plain, **chosen)
    faithful: dict[str, Any] = {"enhance": "codeformer", "enhance_fidelity": 1}
    report = warm.swap(SOURCE, still, same, enhance_blend=1, **faithful, **chosen)
    assert report.setup.networks == {"enhance": "codeformer"}
    # Two samplings of what the swapper drew: edges lose a little.
    assert np.abs(samples(same) - samples(plain)).mean() < 0.5
    report = warm.swap(SOURCE, still, tinted, enhance="gfpgan_1.4", enhance_fidelity=1, **chosen)
    assert "enhance_fidelity has no effect: gfpgan_1.4 takes none." in report.notes
    swapped = np.abs(samples(plain) - samples(still)).max(0) > 0
    restored = np.abs(samples(tinted) - samples(plain)).max(0) > 0
    assert restored.sum() > 500
    # The other person's face, and all around this one, are as they were; a mask that is sampled
    # again may reach a pixel further, and at the seam the swap is the target's colour to a level.
    rows, columns = np.nonzero(swapped)
    restored[rows.min() - 4 : rows.max() + 5, columns.min() - 4 : columns.max() + 5] = False
    assert not restored.any()


def test_a_restorer_is_as_faithful_and_as_strong_as_was_asked(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    def light(**settings: Any) -> float:
        result = tmp_path / "result.png"
        warm.swap(SOURCE, still, result, swapper="mesh", overwrite=True, **settings, **ONE)
        return float(samples(result).mean())

    def restored(**settings: Any) -> float:
        return light(enhance="codeformer", **settings)

    # It dims what it is shown by its fidelity.
    plain = light()
    half = restored(enhance_fidelity=0.5, enhance_blend=1)
    assert plain - half > 2
    loss = plain - half
    assert plain - restored(enhance_fidelity=0.75, enhance_blend=1) == pytest.approx(
        loss / 2, rel=0.1
    )
    assert plain - restored(enhance_fidelity=0.5, enhance_blend=0.25) == pytest.approx(
        loss / 4, rel=0.1
    )
    assert restored(enhance_blend=0) == plain


def test_what_is_restored_is_said_in_the_output(warm: Engine, still: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.png"
    warm.swap(SOURCE, still, result, enhance="auto", pixel_boost="128x128", **QUICK)
    assert b"inswapper_128, occluder, gfpgan_1.4" in result.read_bytes()


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        (
            {"enhance": "gpen_bfr_512"},
            WeightsMissing,
            "restorer gpen_bfr_512 is not installed; bring it",
        ),
        ({"enhance": "gfpgan"}, ParameterError, r"enhance is 'gfpgan'; allowed: auto, gfpgan_1\.4"),
        ({"occluder": "xseg_1"}, WeightsMissing, "occluder xseg_1 is not installed; bring it"),
        ({"occluder": "gfpgan_1.4"}, ParameterError, r"occluder is .*; allowed: auto, none, occ"),
        (
            {"face_region": "nose", "parser": "bisenet_resnet_18"},
            WeightsMissing,
            "parser bisenet_resnet_18 is not installed; bring it",
        ),
        ({"parser": "bisenet"}, ParameterError, "parser is 'bisenet'; allowed: auto, bisenet_re"),
        ({"enhance": "gfpgan", "enhance_blend": 0}, ParameterError, "enhance is 'gfpgan'; allow"),
        (
            {"precision": "fp16", "swapper": "mesh"},
            ParameterError,
            "mesh has no .*: fp32, or any with a swapper",
        ),
    ],
)
def test_networks_that_are_not_there_are_refused_by_name(
    warm: Engine,
    still: Path,
    tmp_path: Path,
    settings: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    with pytest.raises(error, match=words):
        warm.swap(SOURCE, still, tmp_path / "no.png", **QUICK, **settings)
    assert not (tmp_path / "no.png").exists()


def test_a_mouth_that_is_kept_is_the_targets(warm: Engine, still: Path, tmp_path: Path) -> None:
    plain, kept = tmp_path / "plain.png", tmp_path / "kept.png"
    settings: dict[str, Any] = {**ONE, "swapper": "mesh"}
    warm.swap(SOURCE, still, plain, **settings)
    warm.swap(SOURCE, still, kept, keep_mouth=True, **settings)
    swapped, left = (np.abs(samples(one) - samples(still)).max(0) > 0 for one in (plain, kept))
    assert left.sum() > 1000
    assert (swapped & ~left).sum() > 100


def test_colours_are_matched_where_it_is_asked(warm: Engine, still: Path, tmp_path: Path) -> None:
    plain, matched = tmp_path / "plain.png", tmp_path / "matched.png"
    warm.swap(SOURCE, still, plain, **ONE)
    warm.swap(SOURCE, still, matched, match_colour=True, **ONE)
    changed = np.abs(samples(plain) - samples(still)).max(0) > 0

    def off(path: Path) -> float:
        return float(np.abs((samples(path) - samples(still))[:, changed].mean(axis=1)).max())

    # The tinted swapper halves all light and adds a colour.
    assert off(plain) > 20
    assert off(matched) < 5


def test_masks_of_networks_leave_of_a_swap_what_they_both_show(
    warm: Engine, tmp_path: Path
) -> None:
    # The occluder shows blue things in the upper part of the crop, the parser says skin to what is
    # nearer to that class's colour than to any other's.
    still = write_png(tmp_path / "two.png", picture(TWO))
    wanted: dict[str, dict[str, Any]] = {
        "plain": {"occluder": "none"},
        "occluder": {"occluder": "xseg_2"},
        "skin": {"occluder": "none", "face_region": "skin"},
    }
    wanted["both"] = {**wanted["skin"], **wanted["occluder"]}
    changed = {}
    for name, settings in wanted.items():
        result = tmp_path / f"{name}.png"
        report = warm.swap(SOURCE, still, result, pixel_boost="256x256", **ONE, **settings)
        assert report.setup.networks == {
            **({"occluder": "xseg_2"} if settings["occluder"] == "xseg_2" else {}),
            **({"parser": "bisenet_resnet_34"} if "face_region" in settings else {}),
        }
        changed[name] = np.abs(samples(result) - samples(still)).max(0)
    assert changed["plain"].sum() > changed["occluder"].sum() > changed["both"].sum()
    assert changed["plain"].sum() > changed["skin"].sum()
    assert (changed["both"] <= np.minimum(changed["occluder"], changed["skin"]) + 2).all()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"face_region": "nose"},
            "^face_region needs a parser; parser is auto, but none of bisenet",
        ),
        ({"enhance": "auto"}, "enhance is auto, but none of gfpgan"),
    ],
)
def test_the_best_of_none_is_refused(
    still: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    store = WeightStore(user_folder=tmp_path / "weights")
    with (
        Engine(device="cpu", weights=store) as engine,
        pytest.raises(WeightsMissing, match=words),
    ):
        engine.swap(SOURCE, still, tmp_path / "no.png", **QUICK, **settings)


def test_a_boost_that_nobody_asked_for_is_that_of_the_swapper(still: Path, tmp_path: Path) -> None:
    stand_ins.identity(tmp_path / "hyperswap_1a_256.onnx")
    stand_ins.embedder(tmp_path / "w600k_r50.onnx")
    store = WeightStore(user_folder=tmp_path / "weights")
    store.import_path(tmp_path)
    result = tmp_path / "result.png"
    note = "pixel_boost is 512x512, as none was asked for and hyperswap_1a_256 cannot do 384x384."
    with Engine(device="cpu", weights=store) as engine:
        for swapper in ("auto", "hyperswap_1a_256"):
            report = engine.swap(SOURCE, still, result, swapper=swapper, overwrite=True, **QUICK)
            assert report.setup.swapper.name == "hyperswap_1a_256"
            assert note in report.notes
            # What it was done with, asked for, does the same again.
            assert report.parameters["pixel_boost"] == "512x512"
        settings = {**QUICK, "pixel_boost": "384x384", "overwrite": True}
        report = engine.swap(SOURCE, still, result, **settings)
        assert report.setup.swapper.name == "mesh"
        assert any(note.startswith("swapper is mesh: none of those") for note in report.notes)
        with pytest.raises(ParameterError, match="384x384"):
            engine.swap(SOURCE, still, result, swapper="hyperswap_1a_256", **settings)


def test_the_report_names_every_network_and_the_bytes_of_it(
    warm: Engine, packs: WeightStore, still: Path, tmp_path: Path
) -> None:
    report = warm.swap(
        SOURCE,
        still,
        tmp_path / "result.png",
        enhance="codeformer",
        precision="fp16",
        pixel_boost="128x128",
        embedder="sface",
        content_check=False,
        face_selector_gender="female",
    )
    assert report.setup.readers == {
        "detector": ("yunet",),
        "landmarker": ("face_mesh_478", "face_mesh"),
        "embedder": ("sface", "w600k_r50"),
        "gender": ("gender",),
    }
    used = {
        *report.setup.readers["landmarker"],
        *report.setup.readers["embedder"],
        "yunet",
        "gender",
    }
    assert report.setup.weights.keys() == {*used, "codeformer", "inswapper_128", "occluder"}
    assert report.setup.weights["inswapper_128"] == packs.weight("inswapper_128").sha256
    assert "precision fp16 is no faster here: the CPU computes in fp32." in report.notes


def test_each_face_may_be_swapped_at_what_it_is_worth(
    warm: Engine, still: Path, tmp_path: Path
) -> None:
    fixed, free = tmp_path / "fixed.png", tmp_path / "free.png"
    # Both faces are some 130 pixels wide, which their crops show whole at 256.
    warm.swap(SOURCE, still, fixed, pixel_boost="256x256", **QUICK)
    report = warm.swap(SOURCE, still, free, pixel_boost="auto", **QUICK)
    assert report.setup.swapper.name == "inswapper_128"
    assert largest_difference(fixed, free) == 0


def test_the_faces_of_several_frames_go_together_where_a_network_takes_them(
    warm: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    swap = NeuralSwapper.swap

    def counted(self: NeuralSwapper, targets: Sequence[Aligned], sources: Any) -> list[Patch]:
        seen.append(len(targets))
        return swap(self, targets, sources)

    monkeypatch.setattr(NeuralSwapper, "swap", counted)
    clip = write_clip(tmp_path / "two people.mkv", (0, 40, 80, 120, 160))
    settings: dict[str, Any] = {**QUICK, "video_codec": "ffv1", "pixel_boost": "128x128"}
    warm.swap(SOURCE, clip, tmp_path / "alone.mkv", **settings)
    assert seen == [2] * 5
    seen.clear()
    monkeypatch.setattr(Batches, "max_size", 16)
    warm.swap(SOURCE, clip, tmp_path / "together.mkv", **settings)
    assert sorted(seen) == [2, 8]
    assert [frame.planes[0].tobytes() for frame in read_frames(tmp_path / "alone.mkv")] == [
        frame.planes[0].tobytes() for frame in read_frames(tmp_path / "together.mkv")
    ]


def test_a_clip_is_swapped_with_all_of_it(warm: Engine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "two people.mkv", (0, 40, 80, 120, 160))
    report = warm.swap(
        SOURCE,
        clip,
        tmp_path / "result.mkv",
        swapper="inswapper_128",
        pixel_boost="128x128",
        extra_source_image=[asset(WOMAN)],
        source_weight=0.7,
        enhance="gfpgan_1.4",
        keep_mouth=True,
        match_colour=True,
        video_codec="ffv1",
        **QUICK,
    )
    assert (report.frames, report.faces_swapped) == (5, 10)


def test_a_swapper_s_converter_is_among_the_reports_bytes(still: Path, tmp_path: Path) -> None:
    store = stand_ins.family(tmp_path, stand_ins.identity)
    with Engine(device="cpu", weights=store) as engine:
        report = engine.swap(SOURCE, still, tmp_path / "o.png", swapper="ghost_1_256", **QUICK)
        with pytest.raises(ParameterError, match="pictures is 5"):
            engine.calibrate("ghost_1_256", 5)  # type: ignore[arg-type]
    assert {"ghost_1_256", "crossface_ghost", "w600k_r50"} <= report.setup.weights.keys()


def test_a_single_folder_may_be_calibrated_on(packs: WeightStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with (
        Engine(device="cpu", weights=packs) as engine,
        pytest.raises(MediaError, match=r"no picture or video.*empty"),
    ):
        engine.calibrate("inswapper_128", str(tmp_path / "empty"))
