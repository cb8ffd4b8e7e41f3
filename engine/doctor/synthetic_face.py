"""A synthetic face for the self-test, drawn from the mesh's topology."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import numpy as np

from engine.geometry.mesh_topology import (
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_ORBIT,
    NOSTRILS,
    OUTER_LIPS,
    OVAL,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_ORBIT,
    face_mesh,
)
from engine.pixels.raster import fill_polygons
from engine.pixels.tone import blur
from engine.values import Bytes, Pixels, Points

_Ink: TypeAlias = tuple[float, float, float]  # RGB, 0..1

SIDE: Final = 256  # pixels of the picture
_SCALE = 8.5  # pixels per centimetre of the canonical face
_MIDDLE = (SIDE / 2, SIDE / 2)
_HAIR = (1.22, 1.16), (0.0, -14.0)  # scale and offset in pixels, relative to the face's oval
_NOSTRIL_TIPS = (98, 327)
_IRIS, _NOSTRIL = (4.6, 4.6), (3.0, 2.0)  # half axes in pixels
_DARKENING = 0.35  # darkening at the sides of the face, 0..1


def draw_synthetic_face() -> Bytes:
    """Draw a frontal face that face detectors find; (SIDE, SIDE, 3) RGB, uint8."""
    vertices = face_mesh().vertices[:, :2] * np.array((_SCALE, -_SCALE), np.float32)
    points: Points = vertices + np.array(_MIDDLE, np.float32)
    oval = points[list(OVAL)]
    eyes = [points[list(ring)] for ring in (LEFT_EYE, RIGHT_EYE)]
    picture = np.full((SIDE, SIDE, 3), (0.55, 0.62, 0.68), np.float32)
    picture = _fill(picture, [_scale_ring(oval, *_HAIR)], (0.16, 0.11, 0.08), 2.0)
    picture = _fill(picture, [oval], (0.86, 0.66, 0.55), 2.0)
    picture = _shade(picture, oval)
    for rings, ink, softness in (
        ((LEFT_ORBIT, RIGHT_ORBIT), (0.72, 0.50, 0.41), 4.0),
        ((NOSTRILS,), (0.74, 0.52, 0.43), 3.0),
        ((LEFT_BROW, RIGHT_BROW), (0.20, 0.13, 0.09), 1.2),
        ((LEFT_EYE, RIGHT_EYE), (0.92, 0.90, 0.88), 0.7),
        ((OUTER_LIPS,), (0.70, 0.34, 0.33), 1.0),
        ((INNER_LIPS,), (0.35, 0.12, 0.12), 0.7),
    ):
        picture = _fill(picture, [points[list(ring)] for ring in rings], ink, softness)
    irises = [_ellipse(eye.mean(axis=0), _IRIS) for eye in eyes]
    picture = _fill(picture, irises, (0.12, 0.08, 0.06), 0.7)
    nostrils = [_ellipse(points[tip], _NOSTRIL) for tip in _NOSTRIL_TIPS]
    picture = _fill(picture, nostrils, (0.35, 0.20, 0.17), 1.0)
    return np.rint(np.clip(blur(picture, 0.7), 0, 1) * 255).astype(np.uint8)


def _fill(picture: Pixels, rings: Iterable[Points], ink: _Ink, softness: float) -> Pixels:
    """Fill polygons with a colour; their edges are blurred by `softness` pixels."""
    cover = blur(fill_polygons(rings, SIDE), softness)[..., None]
    return picture + cover * (np.array(ink, np.float32) - picture)


def _shade(picture: Pixels, oval: Points) -> Pixels:
    """Darken the face towards its sides, as under light from the front."""
    left, right = oval[:, 0].min(), oval[:, 0].max()
    across = (np.arange(SIDE, dtype=np.float32) - (left + right) / 2) / ((right - left) / 2)
    light = 1 - _DARKENING * fill_polygons([oval], SIDE) * np.minimum(across**2, 1)
    shaded: Pixels = picture * light[..., None]
    return shaded


def _scale_ring(ring: Points, factors: Sequence[float], offset: Sequence[float]) -> Points:
    """Scale a polygon about its mean point, then move it."""
    middle = ring.mean(axis=0)
    scaled: Points = (ring - middle) * np.array(factors, np.float32) + middle
    return scaled + np.array(offset, np.float32)


def _ellipse(middle: Points, axes: Sequence[float]) -> Points:
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    around = np.stack([np.cos(angles), np.sin(angles)], axis=1) * axes
    ring: Points = (middle + around).astype(np.float32)
    return ring
