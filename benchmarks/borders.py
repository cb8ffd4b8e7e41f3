"""Measure whether a swapped face belongs to the skin around it: its tone, and its border.

Both are measured in a crop whose face is `_WIDE` pixels wide, and leave out what the target has
itself: its own shadows under the jaw, its own hairline.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.geometry.boxes import box_of
from engine.geometry.mesh_topology import OVAL
from engine.pixels.align import warp_crop
from engine.pixels.raster import fill_polygons, inside_distance, sample_map
from engine.pixels.tone import blur
from engine.swappers.mesh.masks import feature_mask
from engine.values import Bytes, Mask, Points

_WIDE = 192  # pixels of the face's width in the crop
_SIDE = 2 * _WIDE
_INNER, _OUTER = (0.05, 0.18), (0.03, 0.16)  # bands inside and outside the oval, of the width
_SECTORS = 8
_LEAST = 40  # pixels of a band in a sector, of which its tone is read
_ALIKE = (22.0, 10.0)  # L* and a*b* by which skin around the face may differ from skin beside it
_ARCS = 128  # points along the oval where its border is read
_STEP = 0.01  # between samples across the border, of the width
_ACROSS = (-0.04, 0.11)  # where an edge counts as the border's, of the width; positive inside
_BESIDE = (0.13, 0.22)  # where the face's own contrast is read
_ALONG = 4  # arcs to each side, over which a border is averaged along itself
_ASIDE = 2  # steps by which an edge of the target may lie aside


@dataclass(frozen=True, slots=True)
class Border:
    """Differences of a swapped face from the skin around it, in CIELAB.

    `step` and `coloured_step` are what the result adds to the step in L* and a*b* between the
    face's rim and the skin outside it (forehead, temples, neck), over the worse half of the
    sectors; None where no skin is seen outside. `seam` is the strongest edge along the border that
    neither the target has there nor the result beside it, per 2 % of the face's width, in the worst
    tenth of the border.
    """

    step: float | None
    coloured_step: float | None
    seam: float


def border(before: Bytes, after: Bytes, points: Points) -> Border:
    """Compare the border of a swapped face with the target's.

    Args:
        before: the target, RGB (h, w, 3).
        after: the result, of the same size.
        points: the mesh of the target's face (468, 3).
    """
    box = box_of(points[list(OVAL), :2])
    scale = _WIDE / max(box.width, 1.0)
    middle = np.array(((box.left + box.right) / 2, (box.top + box.bottom) / 2)) * scale
    to_crop = affine.compose(
        affine.rescale(scale), affine.shift(*(_SIDE / 2 - middle).astype(float).tolist())
    )
    local = affine.apply(to_crop, points)
    was, now = _lab(before, to_crop), _lab(after, to_crop)
    step, coloured = _steps(was, now, local)
    return Border(step, coloured, _seam(was, now, local))


def _lab(picture: Bytes, to_crop: NDArray[np.float64]) -> NDArray[np.float32]:
    pixels = (picture / np.float32(255)).astype(np.float32)
    shrunk = 1 / max(affine.scale_of(to_crop), 1e-6)
    if shrunk > 1:
        pixels = blur(pixels, 0.5 * float(np.sqrt(shrunk**2 - 1)))
    crop = np.clip(warp_crop(pixels, to_crop, _SIDE), 0, 1)
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2LAB), np.float32)


def _steps(
    before: NDArray[np.float32], after: NDArray[np.float32], points: Points
) -> tuple[float | None, float | None]:
    oval = fill_polygons([points[list(OVAL)]], _SIDE)
    bare = np.clip(blur(feature_mask(points, _SIDE), _SIDE * 0.01) * 2, 0, 1) < 0.1
    depth, away = inside_distance(oval), inside_distance(1 - oval)
    inner = _within(depth, _INNER) & bare
    changed = np.abs(after - before).max(axis=2) > 1
    outer = _within(away, _OUTER) & ~changed
    ys, xs = np.mgrid[0:_SIDE, 0:_SIDE]
    angle = np.arctan2(ys - _SIDE / 2, xs - _SIDE / 2) / (2 * np.pi) + 0.5
    sector = np.minimum((angle * _SECTORS).astype(int), _SECTORS - 1)
    found = []
    for number in range(_SECTORS):
        here = sector == number
        rim = here & inner
        if rim.sum() < _LEAST:
            continue
        was, now = (np.median(picture[rim], axis=0) for picture in (before, after))
        off = np.abs(before - was)
        skin = (off[..., 0] < _ALIKE[0]) & (np.hypot(off[..., 1], off[..., 2]) < _ALIKE[1])
        around = here & outer & skin
        if around.sum() < _LEAST:
            continue
        tone = np.median(before[around], axis=0)
        steps = [np.abs(rim_tone - tone) for rim_tone in (was, now)]
        lightness = steps[1][0] - steps[0][0]
        colour = np.hypot(*steps[1][1:]) - np.hypot(*steps[0][1:])
        found.append((max(float(lightness), 0.0), max(float(colour), 0.0)))
    if not found:
        return None, None
    worse = (len(found) + 1) // 2
    one, other = (sorted(values)[-worse:] for values in zip(*found, strict=True))
    return float(np.mean(one)), float(np.mean(other))


def _within(values: Mask, band: tuple[float, float]) -> NDArray[np.bool_]:
    """Return where distances lie in a band of shares of the face's width."""
    return np.asarray((values >= band[0] * _WIDE) & (values <= band[1] * _WIDE))


def _seam(before: NDArray[np.float32], after: NDArray[np.float32], points: Points) -> float:
    ring, normals = _ring(points[list(OVAL), :2])
    depths = np.arange(_ACROSS[0] - _STEP, _BESIDE[1] + _STEP, _STEP)
    places = ring[:, None] + normals[:, None] * (depths * _WIDE)[None, :, None]
    xs, ys = (np.ascontiguousarray(places[..., k], np.float32) for k in (0, 1))
    marked = sample_map(np.ascontiguousarray(feature_mask(points, _SIDE)), xs, ys) > 0.1
    was, now = (_edges(picture, xs, ys) for picture in (before, after))
    aside = range(-_ASIDE, _ASIDE + 1)
    own = np.stack([np.roll(was, shift, axis=1) for shift in aside]).max(axis=0)
    beside = np.median(now[:, depths >= _BESIDE[0]], axis=1, keepdims=True)
    more = now - np.maximum(own, beside)
    more[marked] = 0
    there = (depths >= _ACROSS[0]) & (depths <= _ACROSS[1])
    return float(np.percentile(np.maximum(more[:, there], 0).max(axis=1), 90))


def _edges(
    picture: NDArray[np.float32], xs: NDArray[np.float32], ys: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the contrast across the border at each arc and depth, averaged along the border."""
    across = sample_map(blur(picture, 0.8), xs, ys)
    turned = [np.roll(across, shift, axis=0) for shift in range(-_ALONG, _ALONG + 1)]
    smooth = np.mean(turned, axis=0)
    steps = np.zeros_like(smooth)
    steps[:, 1:-1] = smooth[:, 2:] - smooth[:, :-2]
    return np.asarray(np.linalg.norm(steps, axis=2), np.float32)


def _ring(oval: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return `_ARCS` points at equal distances along a closed ring, and the normals inwards."""
    closed = np.concatenate([oval, oval[:1]]).astype(np.float64)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, along[-1], _ARCS, endpoint=False)
    ring = np.stack([np.interp(at, along, closed[:, k]) for k in (0, 1)], axis=1)
    tangent = np.roll(ring, -2, axis=0) - np.roll(ring, 2, axis=0)
    normals = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    inwards = np.sign(((ring.mean(axis=0) - ring) * normals).sum(axis=1).mean())
    return ring, normals * inwards
