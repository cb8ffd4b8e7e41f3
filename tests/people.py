"""Synthetic `Face` values for tests of decisions about detected faces."""

from __future__ import annotations

import numpy as np

from engine.geometry.mesh_topology import face_mesh, frontal_points
from engine.options import Gender, Race
from engine.values import Attributes, Box, Detection, Embedding, Face, Mesh


def embedding(*values: float, length: int = 128) -> Embedding:
    """Return a unit vector that begins with `values`."""
    vector = np.zeros(length, np.float32)
    vector[: len(values)] = values
    return vector / np.linalg.norm(vector)


def at_distance(distance: float, length: int = 128) -> Embedding:
    """Return a unit vector at 1 - cosine = `distance` from `embedding(1)`."""
    cosine = 1.0 - distance
    return embedding(cosine, float(np.sqrt(1.0 - cosine**2)), length=length)


def face(
    left: float = 0,
    top: float = 0,
    size: float = 10,
    *,
    score: float = 0.9,
    age: int | None = None,
    gender: Gender | None = None,
    race: Race | None = None,
    who: Embedding | None = None,
) -> Face:
    """Return a square face whose five points and mesh lie within the box."""
    box = Box(left, top, left + size, top + size)
    where = np.array([(0.3, 0.4), (0.7, 0.4), (0.5, 0.6), (0.35, 0.8), (0.65, 0.8)], np.float32)
    points = where * np.float32(size) + np.array([left, top], np.float32)
    mesh = frontal_points(face_mesh()) * np.float32(size) + np.array((left, top, 0), np.float32)
    return Face(
        detection=Detection(box, score, points),
        mesh=Mesh(mesh, 1.0),
        embedding=who,
        attributes=Attributes(age, gender, race),
    )
