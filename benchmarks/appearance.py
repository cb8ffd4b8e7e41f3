"""Measure what a person sees of a swapped face: tone, light, dirt, sharpness, furrows.

All but sharpness is measured in the canonical layout, where the source's, the target's and the
result's skin lie pixel on pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry.boxes import box_of
from engine.geometry.mesh_topology import OVAL, face_mesh
from engine.pixels.raster import fill_polygons, inside_distance
from engine.pixels.tone import blur, enlarge
from engine.swappers.mesh.beards import find_beard
from engine.swappers.mesh.layout import COARSE, layout, unwrap
from engine.swappers.mesh.masks import feature_mask
from engine.values import Bytes, Mask, Mesh, Points

_SIDE = 256
_BORDER = 0.08  # of the side: fading skin along the oval is left out
_SHADING = 0.05  # sigma of what counts as light, of the side
_FINE, _BROAD = 0.012, 0.05  # sigmas between which dirt lies
_COLOUR_BROAD = 0.08
_NEAR = 13  # pixels around, in which a source or target may have the same contrast
_SEEN = 1.0  # L* of contrast that is noticed
_FURROW = (0.006, 0.025)  # sigmas between which a furrow lies, of the side
_ENOUGH = 0.5  # of a place that must be seen
_FAINT = 0.5  # L* of contrast that is no furrow
_STRANDS = 0.015  # sigma of a beard's tone: strands move with the face's shape
_ANOTHER, _SMOOTHED = 8.0, 0.5  # CIELAB and log contrast by which a beard looks another
_DETAIL = 1.2  # sigma in pixels of the picture, below which detail is sharpness

Ring: TypeAlias = tuple[int, ...]

_GLABELLA = (107, 108, 151, 337, 336, 285, 8, 55)
_FOLD = (203, 206, 92, 186, 57, 212, 214, 192, 187, 205, 36)  # at the picture's left


@dataclass(frozen=True, slots=True)
class Appearance:
    """Differences of a result's skin from the target's, in CIELAB of sRGB.

    `lightness` and `chroma` are the differences of the means in L* and in a*b*. `shading` is the
    contrast of light and shadow over the target's, `highlights` the same of the brightest parts
    over the median. `dirt` and `coloured_dirt` are contrast between skin's pores and its light that
    neither source nor target has near, in L* and in a*b*, at its 99th percentile. `sharpness` is
    the finest detail over the target's; None where the face is smaller than 20 pixels.

    `frown` and `folds` are the contrast of furrows over the target's, between the brows and from
    nose to mouth (the deeper changed of both sides): 1 is the target's own expression, much more is
    the source's or dirt, much less is lost. None where the place is not seen.

    `beard_changed` is the share of the target's beard that looks another in the result; None where
    the engine sees no beard.
    """

    lightness: float
    chroma: float
    shading: float
    highlights: float
    dirt: float
    coloured_dirt: float
    sharpness: float | None
    frown: float | None
    folds: float | None
    beard_changed: float | None


def appearance(
    source: tuple[Bytes, Mesh], target: tuple[Bytes, Mesh], result: Bytes
) -> Appearance | None:
    """Compare a swapped face with its source and target; None where no skin is seen.

    Args:
        source: a picture, RGB (h, w, 3), and the mesh of its face.
        target: the same.
        result: the target's picture with the face swapped.
    """
    given, given_seen = _unwrapped(*source)
    before, before_seen = _unwrapped(*target)
    after, _ = _unwrapped(result, target[1])
    plan = layout(_SIDE)
    inside = inside_distance((plan.ids >= 0).astype(np.float32)) > _BORDER * _SIDE
    skin = plan.skin * before_seen * inside
    if skin.sum() < 1:
        return None
    off = [_mean(after[..., k] - before[..., k], skin) for k in range(3)]
    light_before, light_after = (_low(lab[..., 0], skin, _SHADING) for lab in (before, after))
    bands = [_band(lab[..., :1], skin, _BROAD) for lab in (given, before, after)]
    colours = [_band(lab[..., 1:], skin, _COLOUR_BROAD) for lab in (given, before, after)]
    return Appearance(
        lightness=off[0],
        chroma=float(np.hypot(off[1], off[2])),
        shading=_spread(light_after, skin) / max(_spread(light_before, skin), 0.5),
        highlights=_brightest(after[..., 0], skin) / max(_brightest(before[..., 0], skin), 1.0),
        dirt=_excess(bands, given_seen, skin),
        coloured_dirt=_excess(colours, given_seen, skin),
        sharpness=_sharpness(target[0], result, target[1].points),
        frown=_furrows(before, after, before_seen, (_GLABELLA,)),
        folds=_furrows(before, after, before_seen, (_FOLD, _mirrored(_FOLD))),
        beard_changed=_beard_changed(target, before, after, before_seen),
    )


def skin_lightness(picture: Bytes, mesh: Mesh) -> float:
    """Return the mean L* of a face's skin; nan where none is seen."""
    lab, seen = _unwrapped(picture, mesh)
    skin = layout(_SIDE).skin * seen
    return _mean(lab[..., 0], skin) if skin.sum() >= 1 else float("nan")


def _beard_changed(
    target: tuple[Bytes, Mesh], before: NDArray[np.float32], after: NDArray[np.float32], seen: Mask
) -> float | None:
    hair = (enlarge(find_beard(*_rgb(*target, COARSE)), _SIDE) > _ENOUGH) & (seen > _ENOUGH)
    if not hair.any():
        return None
    tones = np.linalg.norm(blur(after - before, _STRANDS * _SIDE), axis=2) > _ANOTHER
    rough = [blur(np.abs(lab[..., 0] - blur(lab[..., 0], 2.0)), 5.0) for lab in (before, after)]
    strands = np.abs(np.log((rough[1] + _FAINT) / (rough[0] + _FAINT))) > _SMOOTHED
    return float((tones | strands)[hair].mean())


def _unwrapped(picture: Bytes, mesh: Mesh) -> tuple[NDArray[np.float32], Mask]:
    """Return a face in the layout as CIELAB (side, side, 3), and how well each part is seen."""
    own, seen = _rgb(picture, mesh, _SIDE)
    lab = cv2.cvtColor(np.clip(own, 0, 1), cv2.COLOR_RGB2LAB)
    return np.asarray(lab, np.float32), seen


def _rgb(picture: Bytes, mesh: Mesh, side: int) -> tuple[NDArray[np.float32], Mask]:
    """Return a face in the layout, RGB 0..1 (side, side, 3), and how well each part is seen."""
    pixels = (picture / np.float32(255)).astype(np.float32)
    shrunk = float(np.ptp(mesh.points[:, 0])) / side * 0.8
    if shrunk > 1:  # the picture is finer than the layout
        pixels = blur(pixels, 0.5 * float(np.sqrt(shrunk**2 - 1)))
    return unwrap(pixels, mesh.points, side)


def _mean(values: Mask, weights: Mask) -> float:
    return float((values * weights).sum() / weights.sum())


def _spread(values: Mask, weights: Mask) -> float:
    mean = _mean(values, weights)
    return float(np.sqrt(_mean((values - mean) ** 2, weights)))


def _low(values: Mask, weights: Mask, sigma: float) -> Mask:
    scale = sigma * _SIDE
    blurred = blur(values * weights, scale) / np.maximum(blur(weights, scale), 1e-3)
    return np.asarray(blurred, np.float32)


def _band(values: NDArray[np.float32], weights: Mask, broad: float) -> Mask:
    """Return the size of the contrast of (side, side, k) between pores and light, (side, side)."""
    each = [
        _low(values[..., k], weights, _FINE) - _low(values[..., k], weights, broad)
        for k in range(values.shape[2])
    ]
    return np.asarray(np.linalg.norm(np.stack(each), axis=0), np.float32)


def _excess(bands: list[Mask], given_seen: Mask, skin: Mask) -> float:
    """Return the contrast of the result that neither source nor target has near."""
    given, before, after = bands
    around = np.ones((_NEAR, _NEAR), np.uint8)
    usual = np.maximum(cv2.dilate(before, around), cv2.dilate(given * given_seen, around))
    more = np.maximum(after - usual - _SEEN, 0)[skin > 0.5]
    return float(np.percentile(more, 99)) if more.size else 0.0


def _brightest(lightness: Mask, skin: Mask) -> float:
    """Return how far the brightest skin is above the median, in L*."""
    seen = _low(lightness, skin, 2 / _SIDE)[skin > 0.5]
    return float(np.percentile(seen, 98) - np.median(seen)) if seen.size else 1.0


def _furrows(
    before: NDArray[np.float32], after: NDArray[np.float32], seen: Mask, rings: Sequence[Ring]
) -> float | None:
    """Return the contrast of furrows over the target's, in the ring where it changed most."""
    plan = layout(_SIDE)
    ratios = []
    for ring in rings:
        whole = fill_polygons([plan.points[list(ring)]], _SIDE) * plan.skin
        place = whole * seen
        if place.sum() < _ENOUGH * whole.sum():
            continue
        was, now = (_spread(_folded(lab[..., 0]), place) for lab in (before, after))
        ratios.append((now + _FAINT) / (was + _FAINT))
    return max(ratios, key=lambda ratio: abs(np.log(ratio)), default=None)


def _folded(lightness: Mask) -> Mask:
    fine, broad = (blur(lightness, sigma * _SIDE) for sigma in _FURROW)
    return np.asarray(fine - broad, np.float32)


def _mirrored(ring: Ring) -> Ring:
    return tuple(face_mesh().mirror[list(ring)].tolist())


def _sharpness(before: Bytes, after: Bytes, points: Points) -> float | None:
    """Return the finest detail of skin over the target's, in the picture's own pixels."""
    box = box_of(points[:, :2])
    left, top = max(int(box.left), 0), max(int(box.top), 0)
    side = min(int(max(box.width, box.height)), before.shape[0] - top, before.shape[1] - left)
    if side < 20:
        return None
    local = points[:, :2] - np.array((left, top), np.float32)
    oval = fill_polygons([local[list(OVAL)]], side)
    marked = np.clip(blur(feature_mask(local, side), side * 0.012) * 2, 0, 1)
    skin = oval * (1 - marked) * (inside_distance(oval) > side * _BORDER)
    place = np.s_[top : top + side, left : left + side]
    was, now = (
        float((np.abs(grey - blur(grey, _DETAIL)) * skin).sum())
        for grey in (_grey(before[place]), _grey(after[place]))
    )
    return now / max(was, 1e-3)


def _grey(picture: Bytes) -> Mask:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)
