"""A face to draw on, for the training pictures of the occluder.

A `Scene` holds a crop of a bare face, and how much of the face is still seen in each pixel. What is
drawn over the face takes from the latter exactly what it covers; what is painted on the face, or
falls on it as a shadow, changes the picture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry.mesh_topology import OVAL, face_mesh, rigid_fit

Floats: TypeAlias = NDArray[np.floating[Any]]  # of 32 bits where they are pictures
Rng = np.random.Generator

SIDE = 192  # pixels of a training picture
FINE = 2  # shapes are drawn so many times larger, and shrunk by area
_SHIFT = 4  # bits of a pixel's fraction that OpenCV's drawing takes


def flat(colour: Sequence[float] | Floats) -> Floats:
    """Return a picture of one colour, RGB 0..1."""
    return np.broadcast_to(np.asarray(colour, np.float32), (SIDE, SIDE, 3))


def noise(rng: Rng, cells: int, octaves: int = 1) -> Floats:
    """Smooth noise of 0..1, (SIDE, SIDE), of `cells` bumps along a side, each octave twice that."""
    total, weight = np.zeros((SIDE, SIDE), np.float32), 0.0
    for octave in range(octaves):
        count = min(cells << octave, SIDE)
        bumps = rng.random((count + 1, count + 1), np.float32)
        share = 0.5**octave
        total += share * cv2.resize(bumps, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        weight += share
    return cast("Floats", np.clip(total / weight, 0, 1))


def _fine(points: Floats) -> NDArray[np.int32]:
    at = ((np.asarray(points, np.float32)[..., :2] + 0.5) * FINE - 0.5) * (1 << _SHIFT)
    return cast("NDArray[np.int32]", np.round(np.clip(at, -30000, 30000)).astype(np.int32))


def _shrunk(canvas: NDArray[np.uint8]) -> Floats:
    small = cv2.resize(canvas, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / 255


def filled(*polygons: Floats) -> Floats:
    """Coverage 0..1 of polygons, each (n, 2 or more) in pixels of the crop."""
    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    for polygon in polygons:
        cv2.fillPoly(canvas, [_fine(polygon)], 255, cv2.LINE_AA, _SHIFT)
    return _shrunk(canvas)


def stroked(lines: Sequence[Floats], width: float, *, closed: bool = False) -> Floats:
    """Coverage 0..1 of lines, each (n, 2 or more), `width` pixels of the crop wide."""
    canvas = np.zeros((SIDE * FINE, SIDE * FINE), np.uint8)
    thick = max(1, round(width * FINE))
    cv2.polylines(canvas, [_fine(line) for line in lines], closed, 255, thick, cv2.LINE_AA, _SHIFT)
    # Lines thinner than a fine pixel cover less of it.
    return _shrunk(canvas) * np.float32(min(1.0, width * FINE / thick))


def strands(
    lines: Sequence[Floats], colours: Floats, widths: Sequence[float], ground: Floats
) -> tuple[Floats, Floats]:
    """Lines of a colour each: their coverage, and their colours as a picture."""
    canvas = np.empty((SIDE * FINE, SIDE * FINE, 4), np.uint8)
    canvas[...] = (*(np.clip(ground, 0, 1) * 255), 0)
    inks = np.clip(colours, 0, 1) * 255
    for line, ink, width in zip(lines, inks, widths, strict=True):
        ends = [_fine(line)]
        thick = max(1, round(width * FINE))
        cv2.polylines(canvas, ends, False, (*ink.tolist(), 255), thick, cv2.LINE_AA, _SHIFT)
    small = _shrunk(canvas)
    return small[..., 3], small[..., :3]


def warped(
    picture: Floats, to_picture: Sequence[Sequence[float]], border: int = cv2.BORDER_CONSTANT
) -> Floats:
    """Return a picture under an affine map, (SIDE, SIDE)."""
    to = np.array(to_picture, np.float32)
    return cast("Floats", cv2.warpAffine(picture, to, (SIDE, SIDE), borderMode=border))


def moved(mask: Floats, x: float, y: float) -> Floats:
    """Return a mask shifted by some pixels; 0 comes in from beyond the border."""
    return warped(mask, ((1, 0, x), (0, 1, y)))


def blurred(picture: Floats, sigma: float) -> Floats:
    return cast("Floats", cv2.GaussianBlur(picture, (0, 0), sigma)) if sigma > 0.05 else picture


@dataclass
class Scene:
    """A crop of a face: `image` (SIDE, SIDE, 3) RGB 0..1, `mesh` (468, 3) in its pixels.

    `seen` is 1 where the face is seen, 0 where it is covered. `others` are crops of other faces, to
    cut patterns from, and `hands` are hands that were cut out, with their coverage. `light` is the
    direction that the light comes from, in the crop's plane.
    """

    image: Floats
    mesh: Floats
    others: Sequence[NDArray[np.uint8]]
    rng: Rng
    hands: Sequence[NDArray[np.uint8]] = ()
    seen: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.seen = np.ones((SIDE, SIDE), np.float32)
        canonical = face_mesh().vertices * np.array((1, -1, -1), np.float32)
        self.head = rigid_fit(canonical, self.mesh)
        self.scale = float(np.linalg.norm(self.head[:, 0]))  # pixels to a centimetre
        angle = self.rng.uniform(-np.pi, 0)
        self.light = np.array((np.cos(angle), np.sin(angle)), np.float32)
        self.skin = self.colour_at((50, 280, 205, 425, 151))
        self.brightness = float(np.clip(self.skin.mean() * 1.6 + 0.15, 0.2, 1.15))

    def colour_at(self, vertices: Sequence[int]) -> Floats:
        """Return the median colour at some vertices of the mesh."""
        at = np.clip(np.round(self.mesh[list(vertices), :2]), 1, SIDE - 2).astype(int)
        spots = [self.image[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3) for x, y in at]
        return np.asarray(np.median(np.concatenate(spots), axis=0), np.float32)

    def at(self, points: Sequence[Sequence[float]] | Floats) -> Floats:
        """Points in the head's centimetres (x right, y up, z out of the face) in the crop.

        The space is that of the canonical face of `engine.geometry.mesh_topology`.
        """
        own = np.asarray(points, np.float64) * (1, -1, -1)
        return np.asarray(own @ self.head[:, :3].T + self.head[:, 3], np.float32)

    def on_face(self, points: Sequence[Sequence[float]] | Floats, lift: float = 0.0) -> Floats:
        """Points (x, y) of the head, in the crop, on the face and `lift` centimetres before it."""
        flat_points = np.asarray(points, np.float32)
        vertices = face_mesh().vertices
        away = ((vertices[None, :, :2] - flat_points[:, None, :2]) ** 2).sum(-1)
        nearest = np.argsort(away, axis=1)[:, :3]
        close = 1 / (np.take_along_axis(away, nearest, 1) + 0.05)
        close /= close.sum(1, keepdims=True)
        depth = (vertices[nearest, 2] * close).sum(1) + lift
        own = self.at(np.column_stack((flat_points[:, :2], depth)))
        fitted = self.at(vertices)[nearest]
        return cast("Floats", own + ((self.mesh[nearest] - fitted) * close[..., None]).sum(1))

    def faces_camera(self, normal: Sequence[float]) -> float:
        """Return the cosine between a direction of the head and that to the camera."""
        turned = self.head[:, :3] @ (np.asarray(normal) * (1, -1, -1))
        return float(-turned[2] / self.scale / np.linalg.norm(normal))

    def oval(self) -> Floats:
        return self.mesh[list(OVAL), :2]

    def cover(self, alpha: Floats, colour: Floats) -> None:
        """Put a thing before the face."""
        alpha = np.clip(alpha, 0, 1)
        self.image = self.image * (1 - alpha[..., None]) + colour * alpha[..., None]
        self.seen = self.seen * (1 - alpha)

    def paint(self, alpha: Floats, colour: Floats) -> None:
        """Change the picture; what is seen of the face stays the same."""
        alpha = np.clip(alpha, 0, 1)[..., None]
        self.image = self.image * (1 - alpha) + colour * alpha

    def shade(self, mask: Floats, strength: float) -> None:
        """Darken the picture where `mask` is 1, by `strength` of its light."""
        self.image = self.image * (1 - strength * np.clip(mask, 0, 1)[..., None])

    def cast(self, mask: Floats, strength: float, reach: float, soft: float) -> None:
        """Let what covers `mask` cast its shadow, `reach` pixels away from the light."""
        x, y = -self.light * reach
        self.shade(blurred(moved(mask, float(x), float(y)), soft), strength)

    def lit(self, colour: Sequence[float] | Floats) -> Floats:
        """Return a colour as the light of the scene shows it."""
        gain = self.brightness * self.rng.uniform(0.65, 1.25)
        return cast("Floats", np.clip(np.asarray(colour, np.float32) * gain, 0, 1))
