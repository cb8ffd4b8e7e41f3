"""Synthetic hands, and pictures of synthetic people with a hand before the face."""

from __future__ import annotations

from functools import cache

import numpy as np
import people

from engine.geometry import affine
from engine.values import Bytes, Hand, Points

# An open right hand seen from its back, the wrist at the origin, its middle knuckle one unit up.
_OPEN = (
    *((0.0, 0.0),),
    *((-0.35, -0.15), (-0.6, -0.45), (-0.8, -0.7), (-0.95, -0.9)),
    *((-0.3, -0.95), (-0.35, -1.35), (-0.38, -1.6), (-0.4, -1.85)),
    *((0.0, -1.0), (0.0, -1.45), (0.0, -1.75), (0.0, -2.0)),
    *((0.25, -0.95), (0.3, -1.35), (0.33, -1.6), (0.35, -1.85)),
    *((0.5, -0.85), (0.6, -1.1), (0.67, -1.3), (0.75, -1.5)),
)


def hand(
    x: float = 0, y: float = 0, unit: float = 40, *, turned: float = 0, score: float = 1
) -> Hand:
    """Return an open hand with its middle knuckle at (x, y), turned clockwise by degrees.

    `unit` is the distance from the wrist to that knuckle, in pixels.
    """
    flat = np.array(_OPEN) + np.array((0, 1))
    angle = np.radians(turned)
    turn = unit * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = affine.apply(np.column_stack([turn, (x, y)]), flat)
    return Hand(as_points(points), score)


def as_points(flat: np.ndarray) -> Points:
    """Return (n, 2) points as (n, 3) points with z = 0."""
    return np.column_stack([flat, np.zeros(len(flat))]).astype(np.float32)


@cache
def yawn() -> Bytes:
    """Return a picture of a person with a hand before the open mouth."""
    return np.ascontiguousarray(people.person("P002").expressions()["exhausted"])


@cache
def thinking() -> Bytes:
    """Return a picture of a person with a hand at the chin."""
    return np.ascontiguousarray(people.person("P005").expressions()["thoughtful"])
