"""A beard is found for the face as a whole; the target's stays, the source's is kept."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.pixels.raster import fill_polygons
from engine.pixels.tone import blur, luma, smoothstep
from engine.swappers.mesh.beards import beard_rings, find_beard
from engine.swappers.mesh.layout import COARSE, unwrap_crop
from engine.swappers.mesh.warp import MeshWarp
from engine.values import Mask, Pixels, Points
from tests.swappers.stage import Shot, Stage, aligned, blended, patch_of

BEARDED = "P005"
EVERYWHERE = np.ones((COARSE, COARSE), np.float32)
BELOW_THE_MOUTH = (57, 18, 287, 394, 379, 378, 400, 377, 152, 148, 176, 149, 150, 169)
EYES_AND_NOSE = (46, 52, 282, 276, 356, 280, 327, 98, 50, 127)


@pytest.fixture(scope="module")
def swapper() -> MeshWarp:
    return MeshWarp()


def unwrapped(swapper: MeshWarp, shot: Shot) -> tuple[Pixels, Mask]:
    crop = aligned(swapper, shot)
    return unwrap_crop(crop.pixels, crop.mesh)


def beard_of(swapper: MeshWarp, shot: Shot) -> Mask:
    return find_beard(*unwrapped(swapper, shot))


def ring(points: Points, corners: tuple[int, ...], size: int) -> NDArray[np.bool_]:
    return fill_polygons([points[list(corners)]], size) > 0.99


@pytest.mark.parametrize("what", ["portrait", "happy", "surprised", "pensive"])
def test_a_beard_is_found_whole_whatever_the_face_does(
    swapper: MeshWarp, stage: Stage, what: str
) -> None:
    found = beard_of(swapper, stage.shot(BEARDED, what))
    whole = beard_rings()[2] > 0.99
    assert found[whole].mean() > 0.95
    assert found[: round(0.42 * COARSE)].max() < 0.05


@pytest.mark.parametrize("who", ["P001", "P003", "P007", "P010"])
@pytest.mark.parametrize("what", ["portrait", "happy", "surprised"])
def test_a_bare_face_has_no_beard(swapper: MeshWarp, stage: Stage, who: str, what: str) -> None:
    assert beard_of(swapper, stage.shot(who, what)).max() == 0


def test_a_shadow_on_the_jaw_is_no_beard(swapper: MeshWarp, stage: Stage) -> None:
    own, seen = unwrapped(swapper, stage.shot("P001"))
    rows = np.linspace(0, 1, COARSE, dtype=np.float32)[:, None, None]
    shade = 1 - np.float32(0.5) * smoothstep(0.55, 0.75, rows)
    assert find_beard((own * shade).astype(np.float32), seen).max() == 0


def test_what_is_before_a_face_is_no_beard(swapper: MeshWarp, stage: Stage) -> None:
    """A scarf that looks like a beard is none where it is known to be before the face."""
    own, seen = unwrapped(swapper, stage.shot("P001"))
    bearded, _ = unwrapped(swapper, stage.shot(BEARDED))
    lower = blur(np.asarray(beard_rings()[2], np.float32), 3.0) > 0.02
    scarf = np.where(lower[..., None], bearded, own)
    assert find_beard(scarf, seen).max() > 0.9
    assert find_beard(scarf, seen * ~lower).max() == 0


def test_a_beard_is_told_by_the_half_that_is_seen(swapper: MeshWarp, stage: Stage) -> None:
    own, seen = unwrapped(swapper, stage.shot(BEARDED))
    half = own.copy()
    half[:, : COARSE // 2] = 0.5
    right = seen * (np.arange(COARSE) >= COARSE // 2)
    assert find_beard(half, right)[beard_rings()[2] > 0.99].mean() > 0.9


def test_a_beard_is_steady_under_noise_and_small_moves(swapper: MeshWarp, stage: Stage) -> None:
    own, seen = unwrapped(swapper, stage.shot(BEARDED, "happy"))
    still = find_beard(own, seen)
    dice = np.random.default_rng(0)
    for _ in range(4):
        grain = dice.normal(scale=0.02, size=own.shape).astype(np.float32)
        moved = np.roll(np.clip(own + grain, 0, 1), 1, axis=int(dice.integers(2)))
        assert np.abs(find_beard(moved, seen) - still).mean() < 0.03


def test_a_target_s_beard_stays_whole(swapper: MeshWarp, stage: Stage) -> None:
    target = stage.shot(BEARDED, "happy")
    crop = aligned(swapper, target)
    shown = blended(crop, patch_of(swapper, stage.source(swapper, "P001"), target))
    change = np.abs(shown - crop.pixels).mean(axis=2)
    # The beard moves with the face's shape, so that a blurred look is compared.
    kept = np.abs(luma(blur(shown, 4.0)) - luma(blur(crop.pixels, 4.0)))
    assert kept[ring(crop.mesh, BELOW_THE_MOUTH, 256)].mean() < 0.03
    assert change[ring(crop.mesh, EYES_AND_NOSE, 256)].mean() > 0.05


def test_a_source_s_beard_is_as_dark_as_it_was(swapper: MeshWarp, stage: Stage) -> None:
    """It does not take the tone of the target's bare chin."""
    target = stage.shot("P002", "happy")
    crop = aligned(swapper, target)
    shown = luma(blended(crop, patch_of(swapper, stage.source(swapper, BEARDED), target)))
    portrait = aligned(swapper, stage.shot(BEARDED))
    shares = []
    for tones, mesh in ((luma(portrait.pixels), portrait.mesh), (shown, crop.mesh)):
        chin, face = (ring(mesh, corners, 256) for corners in (BELOW_THE_MOUTH, EYES_AND_NOSE))
        shares.append(float(tones[chin].mean() / tones[face].mean()))
    own, swapped = shares
    assert own < 0.5
    assert swapped == pytest.approx(own, abs=0.12)
