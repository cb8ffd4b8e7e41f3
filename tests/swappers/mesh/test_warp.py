"""The mesh swapper takes features from the source, and leaves the rest to the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from engine.faces.motion import map_face
from engine.geometry import affine
from engine.geometry.mesh_topology import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    face_mesh,
)
from engine.geometry.shape import transfer_shape
from engine.pixels.raster import convex_hull, fill_polygons
from engine.pixels.tone import blur, luma, smoothstep
from engine.swappers.mesh.layout import COARSE, layout, unwrap
from engine.swappers.mesh.relight import estimate_light
from engine.swappers.mesh.texture import SIDE, PortraitTexture, deep_shadow_mask, fill_hidden
from engine.swappers.mesh.warp import MeshWarp
from engine.values import Aligned, BareFace, Pixels, Points
from tests.swappers.stage import Shot, Stage, aligned, blended, patch_of

LOWER_LIP = 17
MIDDLE_OF_FOREHEAD, BELOW_THE_BROWS = 151, 222
LEFT_CHEEK, RIGHT_CHEEK = 50, 280
GREEN, BLUE, MAGENTA = (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 0.0, 1.0)


@pytest.fixture(scope="module")
def swapper() -> MeshWarp:
    return MeshWarp()


def cheeks(pixels: Pixels, mesh: Points) -> NDArray[np.float32]:
    """Mean colour of the left and of the right cheek, (2, 3)."""
    reach = round(0.04 * pixels.shape[0])
    found = []
    for x, y in np.rint(mesh[[LEFT_CHEEK, RIGHT_CHEEK], :2]).astype(int):
        patch = pixels[y - reach : y + reach, x - reach : x + reach]
        found.append(patch.mean(axis=(0, 1)))
    return np.array(found, np.float32)


def inside(points: Points, ring: tuple[int, ...], size: int, margin: int) -> NDArray[np.bool_]:
    """Return the pixels within a ring of the mesh, `margin` away from it."""
    filled = (fill_polygons([points[list(ring)]], size) > 0.99).astype(np.uint8)
    return cv2.erode(filled, np.ones((2 * margin + 1,) * 2, np.uint8)) > 0


def painted(shot: Shot, **rings: tuple[tuple[int, ...], tuple[float, ...]]) -> Shot:
    """Return the picture with rings of the mesh filled with plain colours."""
    pixels = shot.portrait.pixels.copy()
    for ring, colour in rings.values():
        corners = np.rint(shot.face.mesh.points[list(ring), :2]).astype(np.int32)
        cv2.fillPoly(pixels, [corners], colour)
    return shot.repainted(pixels)


def painted_eyes(shot: Shot, colour: tuple[float, ...]) -> Shot:
    return painted(shot, left=(LEFT_EYE, colour), right=(RIGHT_EYE, colour))


def swapped(swapper: MeshWarp, stage: Stage, who: str, target: Shot, size: int = 256) -> Pixels:
    """Return the target's crop with a person's face on it."""
    patch = patch_of(swapper, stage.source(swapper, who), target, size)
    return blended(aligned(swapper, target, size), patch)


def fineness(pixels: Pixels, within: NDArray[np.bool_]) -> float:
    """Mean strength of the finest detail."""
    grey = luma(pixels)
    return float(np.abs(grey - blur(grey, 1.0))[within].mean())


@pytest.mark.parametrize("who", ["P001", "P004", "P007", "P010"])
def test_a_portrait_onto_itself_is_itself(swapper: MeshWarp, stage: Stage, who: str) -> None:
    target = aligned(swapper, stage.shot(who), 384)
    patch = patch_of(swapper, stage.source(swapper, who), stage.shot(who), 384)
    error = (patch.pixels - target.pixels)[patch.mask > 0.5]
    assert -10 * np.log10(float((error**2).mean())) > 35
    result = stage.result(swapper, who, stage.shot(who), 384)
    assert result.embedding @ stage.shot(who).embedding > 0.97


@pytest.mark.parametrize("from_left", [True, False])
def test_a_part_in_deep_shadow_is_taken_from_the_other_half(*, from_left: bool) -> None:
    """A mild shadow is taken out; what lies in a deep one is lost."""
    good = layout(96).skin
    shade = np.linspace(0, 1, 96, dtype=np.float32)[None, :, None]
    skin = np.full((96, 96, 3), 0.6, np.float32)
    cheeks = {True: (slice(50, 60), slice(20, 30)), False: (slice(50, 60), slice(66, 76))}
    for depth, lost in ((0.02, 1), (0.5, 0), (1.0, 0)):
        lit = depth + (1 - depth) * smoothstep(0.4, 0.6, shade if from_left else 1 - shade)
        dark = deep_shadow_mask(skin * lit, good)
        np.testing.assert_allclose(dark[cheeks[from_left]], lost, atol=0.05)
        np.testing.assert_allclose(dark[cheeks[not from_left]], 0, atol=0.01)
        np.testing.assert_allclose(dark[:, 46:50], 0, atol=0.05)


@pytest.mark.parametrize(("depth", "kept"), [(0.02, 1.0), (0.6, 0.45)])
def test_wrinkles_are_no_deeper_than_a_target_s_own(
    swapper: MeshWarp, stage: Stage, depth: float, kept: float
) -> None:
    plan = layout(COARSE)
    waves = depth * np.sin(np.arange(COARSE, dtype=np.float32)[:, None, None] * np.float32(0.7))
    wrinkled = np.broadcast_to(waves, (COARSE, COARSE, 3)).astype(np.float32)
    crop = aligned(swapper, stage.shot("P007"))
    none = np.zeros((COARSE, COARSE), np.float32)
    details = (np.zeros_like(wrinkled), wrinkled)
    smooth, deep = (estimate_light(crop, one, none).light for one in details)
    shown = luma(deep - smooth + wrinkled)
    where = plan.centre * plan.skin * plan.browless > 0.95
    shares = (shown - blur(shown, 5.0))[where] / (luma(wrinkled) - blur(luma(wrinkled), 5.0))[where]
    assert float(np.median(shares)) == pytest.approx(kept, abs=0.12)


def with_glasses(shot: Shot) -> tuple[Shot, BareFace]:
    """Return a person behind a magenta frame around each eye, and where it leaves the face bare."""
    pixels = shot.portrait.pixels.copy()
    bare = np.ones(pixels.shape[:2], np.float32)
    points = shot.face.mesh.points
    width = float(np.ptp(points[:, 0]))
    for ring in (LEFT_EYE, RIGHT_EYE):
        middle = np.rint(points[list(ring), :2].mean(axis=0)).astype(int).tolist()
        for picture, colour in ((pixels, MAGENTA), (bare, (0.0,))):
            cv2.circle(picture, middle, round(0.17 * width), colour, max(round(0.03 * width), 2))
    return shot.repainted(pixels), BareFace(bare, affine.identity())


def magenta(pixels: Pixels) -> float:
    """The share of a picture that is magenta."""
    return float((np.minimum(pixels[..., 0], pixels[..., 2]) - pixels[..., 1] > 0.25).mean())


def test_a_source_s_glasses_are_not_painted_onto_the_target(
    swapper: MeshWarp, stage: Stage
) -> None:
    worn, bare = with_glasses(stage.shot("P004"))
    target = stage.shot("P007")
    shown = {}
    for known in (None, bare):
        source = swapper.prepare([replace(worn.portrait, bare=known)])
        patch = patch_of(swapper, source, target)
        shown[known is None] = blended(aligned(swapper, target), patch)
        if known is not None:
            around = inside(aligned(swapper, target).mesh, LEFT_BROW, 256, 0)
            assert patch.mask[around].mean() > 0.9
    assert magenta(shown[True]) > 0.003
    assert magenta(shown[False]) < 0.1 * magenta(shown[True])


def test_the_shadow_along_a_source_s_glasses_is_filled_with_the_frame(
    swapper: MeshWarp, stage: Stage
) -> None:
    """The mask ends at the frame; a dark line beside it is a rest of the glasses."""
    shot = stage.shot("P004")
    points = shot.face.mesh.points
    width = float(np.ptp(points[:, 0]))
    bare = np.ones(shot.portrait.pixels.shape[:2], np.float32)
    line, below = np.zeros_like(bare), round(0.021 * width)
    left, right = (points[vertex, :2] for vertex in (50, 280))  # the cheeks
    for picture, value, down, thick in ((bare, 0.0, 0, 0.025), (line, 1.0, below, 0.005)):
        one, other = (np.rint(end + np.array((0, down))).astype(int) for end in (left, right))
        cv2.line(picture, one.tolist(), other.tolist(), value, max(round(thick * width), 1))
    portrait = shot.portrait
    dark = portrait.pixels * (1 - np.float32(0.6) * line[..., None])
    known = BareFace(bare, affine.identity())
    clean, drawn = (
        swapper.prepare([replace(portrait, pixels=pixels, bare=known)]).textures[0][..., :3]
        for pixels in (portrait.pixels, dark)
    )
    places = unwrap(line, points, SIDE)[0] * layout(SIDE).skin > 0.5
    lost = np.log(drawn[places] / clean[places])
    assert places.sum() > 200
    assert float(np.abs(lost).mean()) < 0.1


def test_what_is_hidden_on_both_sides_has_the_tone_of_the_skin_around() -> None:
    detail = np.full((SIDE, SIDE, 3), 0.3, np.float32)
    odd = np.zeros((SIDE, SIDE), np.float32)
    odd[300:352], detail[300:352] = 1, -2.0
    none = np.zeros((COARSE, COARSE), np.float32)
    filled, opacity = fill_hidden(PortraitTexture(detail, np.ones_like(odd), odd, none))
    np.testing.assert_allclose(filled[302:350], 0.3, atol=0.02)
    np.testing.assert_allclose(opacity[320:330], 1)


def test_light_is_not_read_off_what_is_before_a_target(swapper: MeshWarp, stage: Stage) -> None:
    shot = stage.shot("P007")
    plain = aligned(swapper, shot)
    cover = np.zeros((256, 256), np.float32)
    brow, nose = plain.mesh[9, 1], plain.mesh[1, 1]
    cover[round(float(brow)) : round(float(nose))] = 1
    white = plain.pixels + cover[..., None] * (1 - plain.pixels)
    source = stage.source(swapper, "P004")
    (usual,) = swapper.swap([plain], [source])
    results = {}
    for name, bare in (("told", 1 - cover), ("not told", None)):
        (results[name],) = swapper.swap([replace(plain, pixels=white, bare=bare)], [source])
    off = {
        name: float(np.abs(patch.pixels - usual.pixels)[round(float(nose)) + 8 :].mean())
        for name, patch in results.items()
    }
    assert off["told"] < 0.5 * off["not told"]


def test_sharpness_is_not_read_off_what_is_before_a_target(swapper: MeshWarp, stage: Stage) -> None:
    plain = aligned(swapper, stage.shot("P007"))
    bare = np.ones((256, 256), np.float32)
    brow, nose = plain.mesh[8, 1], plain.mesh[1, 1]
    bare[round(float(brow)) : round(float(nose))] = 0
    smooth = np.where(bare[..., None] > 0, plain.pixels, np.float32(0.6))
    forehead = inside(plain.mesh, OVAL, 256, 20) & (np.arange(256)[:, None] < plain.mesh[8, 1])
    source = stage.source(swapper, "P004")
    (usual,) = swapper.swap([plain], [source])
    (told,) = swapper.swap([replace(plain, pixels=smooth, bare=bare)], [source])
    (untold,) = swapper.swap([replace(plain, pixels=smooth)], [source])
    sharp, kept, lost = (fineness(patch.pixels, forehead) for patch in (usual, told, untold))
    assert kept > 0.95 * sharp
    assert lost < 0.9 * sharp


@pytest.mark.parametrize("cast", [(1.0, 1.0, 1.0), (0.35, 0.3, 0.25), (1.15, 1.1, 1.3)])
@pytest.mark.parametrize("whom", ["P003", "P006"])
def test_skin_has_the_target_s_tone_whatever_the_source_s(
    swapper: MeshWarp, stage: Stage, whom: str, cast: tuple[float, ...]
) -> None:
    portrait = stage.shot("P009").portrait
    source = swapper.prepare(
        [stage.shot("P009").repainted(portrait.pixels * np.array(cast, np.float32)).portrait]
    )
    target = aligned(swapper, stage.shot(whom))
    shown = blended(target, patch_of(swapper, source, stage.shot(whom)))
    np.testing.assert_allclose(
        cheeks(shown, target.mesh), cheeks(target.pixels, target.mesh), atol=0.06
    )


@pytest.mark.parametrize("whom", ["P003", "P006"])
@pytest.mark.parametrize("from_left", [True, False])
def test_light_from_one_side_stays_on_that_side(
    swapper: MeshWarp, stage: Stage, whom: str, *, from_left: bool
) -> None:
    shot = stage.shot(whom)
    across = shot.face.mesh.points[:, 0]
    light = np.interp(
        np.arange(shot.picture.shape[1]),
        [across.min(), across.max()],
        [1.0, 0.3] if from_left else [0.3, 1.0],
    )
    lit = shot.repainted(shot.portrait.pixels * light[None, :, None].astype(np.float32))
    mesh = aligned(swapper, lit).mesh
    wanted = luma(cheeks(aligned(swapper, lit).pixels, mesh))
    for who in ("P001", "P009"):
        got = luma(cheeks(swapped(swapper, stage, who, lit), mesh))
        assert np.log(got[0] / got[1]) == pytest.approx(np.log(wanted[0] / wanted[1]), abs=0.15)


@pytest.mark.parametrize(
    ("whom", "what"), [("P006", "surprised"), ("P002", "shocked"), ("P005", "shocked")]
)
def test_eyeballs_and_the_mouth_s_inside_stay_the_target_s(
    swapper: MeshWarp, stage: Stage, whom: str, what: str
) -> None:
    size = 384
    target = painted(painted_eyes(stage.shot(whom, what), GREEN), mouth=(INNER_LIPS, BLUE))
    giver = painted(painted_eyes(stage.shot("P001"), MAGENTA), mouth=(INNER_LIPS, MAGENTA))
    source = swapper.prepare([giver.portrait])
    crop = aligned(swapper, target, size)
    patch = patch_of(swapper, source, target, size)
    points = transfer_shape(crop.mesh, source.shape)
    for ring, colour in ((LEFT_EYE, GREEN), (RIGHT_EYE, GREEN), (INNER_LIPS, BLUE)):
        opening = inside(points, ring, size, 4)
        assert opening.any()
        np.testing.assert_allclose(patch.pixels[opening].mean(axis=0), colour, atol=0.08)
        assert np.abs(patch.pixels[opening] - colour).max() < 0.35


def test_the_mouth_s_inside_moves_with_the_mouth(swapper: MeshWarp, stage: Stage) -> None:
    """A picture whose colours say where each pixel was."""
    size = 384
    crop = aligned(swapper, stage.shot("P005", "shocked"), size)
    ys, xs = np.mgrid[:size, :size].astype(np.float32) / size
    told = Aligned(np.stack([xs, ys, 0 * xs], axis=-1), crop.to_crop, crop.mesh)
    source = stage.source(swapper, "P009")
    (patch,) = swapper.swap([told], [source])
    points = transfer_shape(crop.mesh, source.shape)
    opening = inside(points, INNER_LIPS, size, 6)
    here = np.argwhere(opening)[:, ::-1].astype(np.float32).mean(axis=0)
    there = patch.pixels[opening][:, :2].mean(axis=0) * size
    moved = (points - crop.mesh)[list(INNER_LIPS), :2].mean(axis=0)
    assert np.linalg.norm(moved) > 2
    np.testing.assert_allclose(here - there, moved, atol=0.8)


def test_a_shut_eye_stays_shut(swapper: MeshWarp, stage: Stage) -> None:
    """Closed lids of the target hide the source's open eye."""
    shot = stage.shot("P006")
    points = shot.face.mesh.points.copy()
    for ring in (LEFT_EYE, RIGHT_EYE):
        lower, upper = list(ring[1:8]), list(ring[:8:-1])
        points[upper] = points[lower] - (0, 0.5, 0)
    crop = aligned(swapper, shot, 384)
    shut = Aligned(crop.pixels, crop.to_crop, affine.apply(crop.to_crop, points))
    giver = painted_eyes(stage.shot("P001"), MAGENTA)
    (patch,) = swapper.swap([shut], [swapper.prepare([giver.portrait])])
    shown = blended(shut, patch)
    assert (np.minimum(shown[..., 0], shown[..., 2]) - shown[..., 1]).max() < 0.15


@pytest.mark.parametrize("who", ["P001", "P002", "P003", "P004"])
@pytest.mark.parametrize("what", ["portrait", "turned"])
def test_what_is_around_a_portrait_does_not_show(
    swapper: MeshWarp, stage: Stage, who: str, what: str
) -> None:
    """Also where the head is turned, and half of the face has to be made of the other half."""
    shot = stage.shot(who, what)
    hull = cv2.convexHull(np.rint(shot.face.mesh.points[:, :2]).astype(np.int32))
    face = cv2.fillPoly(np.zeros(shot.picture.shape[:2], np.uint8), [hull], 1)
    alone = np.where(face[..., None] > 0, shot.portrait.pixels, np.array(GREEN, np.float32))
    source = swapper.prepare([shot.repainted(alone).portrait])
    patch = patch_of(swapper, source, stage.shot("P006"))
    assert greenness(patch.pixels) < 0.05


def greenness(pixels: Pixels) -> float:
    return float((pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2])).max())


@pytest.mark.parametrize("who", ["P001", "P002", "P004"])
def test_a_turned_portrait_gives_a_whole_face(swapper: MeshWarp, stage: Stage, who: str) -> None:
    source = swapper.prepare([stage.shot(who, "turned").portrait])
    face = stage.source(swapper, who).textures[-1][..., 3] > 0.9
    assert source.textures[-1][..., 3][face].mean() > 0.9
    patch = patch_of(swapper, source, stage.shot("P006"))
    target = aligned(swapper, stage.shot("P006"))
    both = np.abs(cheeks(patch.pixels, target.mesh) - cheeks(target.pixels, target.mesh))
    assert both.max() < 0.13


@pytest.mark.parametrize("who", ["P001", "P004"])
def test_a_shadow_on_one_cheek_of_the_source_shows_half_at_most(
    swapper: MeshWarp, stage: Stage, who: str
) -> None:
    shot = stage.shot(who)
    cheek = (111, 118, 101, 205, 207, 187, 123, 116)
    corners = np.rint(shot.face.mesh.points[list(cheek), :2]).astype(np.int32)
    shadow = cv2.fillPoly(np.zeros(shot.picture.shape[:2], np.float32), [corners], 1.0)
    dark = shot.portrait.pixels * (1 - 0.45 * shadow[..., None])
    source = swapper.prepare([shot.repainted(dark).portrait])
    target = stage.shot("P006")
    mesh = aligned(swapper, target).mesh
    shown = luma(cheeks(patch_of(swapper, source, target).pixels, mesh))
    plain = luma(cheeks(swapped(swapper, stage, who, target), mesh))
    assert np.abs(np.log(shown / plain)).max() < -np.log(1 - 0.45) / 2


def test_what_the_source_s_picture_cuts_off_is_made_of_the_other_side(
    swapper: MeshWarp, stage: Stage
) -> None:
    shot = stage.shot("P001")
    points = shot.face.mesh.points
    left = int(points[LEFT_CHEEK, 0])
    cut = replace(
        shot.portrait,
        pixels=np.ascontiguousarray(shot.portrait.pixels[:, left:]),
        face=map_face(shot.face, affine.shift(-left, 0)),
    )
    target = stage.shot("P006")
    patch = patch_of(swapper, swapper.prepare([cut]), target)
    crop = aligned(swapper, target)
    shown = luma(blended(crop, patch))
    whole = luma(swapped(swapper, stage, "P001", target))
    assert (shown - whole)[inside(crop.mesh, OVAL, 256, 8)].min() > -0.25
    assert np.abs(shown - whole).mean() < 0.02


def test_what_the_first_picture_hides_comes_from_the_next(swapper: MeshWarp, stage: Stage) -> None:
    whole = stage.shot("P001").portrait
    bottom = int(whole.face.mesh.points[LOWER_LIP, 1])
    cut = replace(whole, pixels=np.ascontiguousarray(whole.pixels[:bottom]))
    alone, helped, wanted = (
        swapper.prepare(portraits).textures[0][..., 3]
        for portraits in ([cut], [cut, whole], [whole])
    )
    missing, left = (np.abs(wanted - got).mean() for got in (alone, helped))
    assert missing > 0.02
    assert left < 0.05 * missing


def test_the_picture_that_looks_at_the_camera_gives_the_shape(
    swapper: MeshWarp, stage: Stage
) -> None:
    turned, frontal = stage.shot("P001", "turned").portrait, stage.shot("P001").portrait
    shape = swapper.prepare([turned, frontal]).shape
    assert np.array_equal(shape, swapper.prepare([frontal]).shape)


def fringed(shot: Shot, down_to: int) -> Shot:
    """Return a shot with a green fringe from above the face down to a vertex of the mesh."""
    pixels, points = shot.portrait.pixels.copy(), shot.face.mesh.points
    top, end = points[10, 1], points[down_to, 1]
    left, right = points[21, 0], points[251, 0]
    fringe = np.array([(left, top - 30), (right, top - 30), (right, end), (left, end)], np.float32)
    cv2.fillPoly(pixels, [np.rint(fringe).astype(np.int32)], (0.02, 0.25, 0.02))
    return shot.repainted(pixels)


def test_hair_over_the_source_s_forehead_does_not_show(swapper: MeshWarp, stage: Stage) -> None:
    shot = stage.shot("P001")
    source = swapper.prepare([fringed(shot, MIDDLE_OF_FOREHEAD).portrait])
    for whom in ("P003", "P006"):
        patch = patch_of(swapper, source, stage.shot(whom))
        bald = patch_of(swapper, stage.source(swapper, "P001"), stage.shot(whom))
        assert greenness(patch.pixels) < 0.08
        assert np.abs(patch.pixels - bald.pixels).mean() < 0.02


def test_under_hair_over_forehead_and_brows_the_target_s_own_show(
    swapper: MeshWarp, stage: Stage
) -> None:
    source = swapper.prepare([fringed(stage.shot("P001"), BELOW_THE_BROWS).portrait])
    for whom in ("P003", "P006"):
        crop = aligned(swapper, stage.shot(whom))
        patch = patch_of(swapper, source, stage.shot(whom))
        brows = [list(LEFT_BROW), list(RIGHT_BROW)]
        within = fill_polygons([convex_hull(crop.mesh[ring, :2]) for ring in brows], 256) > 0.5
        assert np.abs(patch.pixels - crop.pixels)[within].mean() < 0.1


def test_hair_over_the_target_s_face_stays(swapper: MeshWarp, stage: Stage) -> None:
    """A dark lock that hangs over the cheek is in front of the new face, too."""
    lock = (21, 127, 234, 93, 132, 58, 172, 214, 207, 205, 50, 118, 111, 156)
    for whom in ("P003", "P007"):
        target = painted(stage.shot(whom), lock=(lock, (0.03, 0.03, 0.03)))
        crop = aligned(swapper, target)
        covered = inside(crop.mesh, lock, 256, 4)
        assert covered.sum() > 500
        assert luma(swapped(swapper, stage, "P001", target))[covered].mean() < 0.12
        assert luma(swapped(swapper, stage, "P001", stage.shot(whom)))[covered].mean() > 0.25


Change = Callable[[Pixels], Pixels]


def blurred(sigma: float) -> Change:
    return lambda pixels: blur(pixels, sigma)


def noisy(sigma: float) -> Change:
    def change(pixels: Pixels) -> Pixels:
        grain = np.random.default_rng(0).normal(scale=sigma, size=pixels.shape[:2])
        return pixels + grain[..., None].astype(np.float32)

    return change


@pytest.mark.parametrize("whom", ["P003", "P006"])
def test_detail_is_as_fine_as_the_target_s(swapper: MeshWarp, stage: Stage, whom: str) -> None:
    shot = stage.shot(whom)
    crop = aligned(swapper, shot, 384)
    face = inside(crop.mesh, OVAL, 384, 15)
    plain = fineness(swapped(swapper, stage, "P001", shot, 384), face)
    found = []
    for change in (blurred(4), blurred(2), noisy(0.02), noisy(0.05)):
        target = shot.repainted(change(shot.portrait.pixels))
        theirs = fineness(aligned(swapper, target, 384).pixels, face)
        found.append(fineness(swapped(swapper, stage, "P001", target, 384), face))
        assert found[-1] < max(1.5 * theirs, 0.5 * plain)
    assert found == sorted(found)
    assert found[1] < 0.75 * plain
    assert found[2] > 1.1 * plain
    assert found[3] > 1.8 * plain


def test_the_target_s_features_are_gone(swapper: MeshWarp, stage: Stage) -> None:
    """The source's skin covers paint on the target's skin."""
    shot = stage.shot("P006")
    cheek = (50, 101, 118, 117, 123, 187, 205)
    target = painted(shot, mark=(cheek, (0.75, 0.35, 0.75)))
    crop = aligned(swapper, target)
    where = inside(crop.mesh, cheek, 256, 3)
    shown = swapped(swapper, stage, "P001", target)
    plain = swapped(swapper, stage, "P001", shot)
    marked = np.abs(crop.pixels - aligned(swapper, shot).pixels)[where].mean()
    assert np.abs(shown - plain)[where].mean() < 0.6 * marked


def test_no_face_in_the_crop_gives_an_empty_mask(swapper: MeshWarp, stage: Stage) -> None:
    crop = aligned(swapper, stage.shot("P006"))
    for by in ((600, 0, 0), (-600, 0, 0), (0, 600, 0), (0, -600, 0)):
        gone = Aligned(crop.pixels, crop.to_crop, crop.mesh + np.array(by, np.float32))
        (patch,) = swapper.swap([gone], [stage.source(swapper, "P001")])
        assert patch.mask.max() == 0


def test_a_mesh_that_is_folded_flat_does_no_harm(swapper: MeshWarp, stage: Stage) -> None:
    crop = aligned(swapper, stage.shot("P006"))
    middle = crop.mesh.mean(axis=0)
    for squeeze in ((0.02, 1, 1), (1, 0.02, 1), (1, 1, 0)):
        points = (crop.mesh - middle) * np.array(squeeze, np.float32) + middle
        flat = Aligned(crop.pixels, crop.to_crop, points.astype(np.float32))
        (patch,) = swapper.swap([flat], [stage.source(swapper, "P001")])
        assert np.isfinite(patch.pixels).all()
        assert np.isfinite(patch.mask).all()


def test_the_template_is_the_canonical_face(swapper: MeshWarp) -> None:
    points = np.array(swapper.template.points)
    assert points.shape == (468, 2)
    np.testing.assert_allclose(points[face_mesh().mirror, 0], 1 - points[:, 0], atol=1e-4)
    assert points.min() > 0.05
    assert points.max() < 0.95
