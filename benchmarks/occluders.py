"""Draw known things before bare faces, and measure how far a swap keeps them.

Each is drawn in the picture's own pixels by the mesh, always alike, with an exact mask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from measures import eye_distance
from numpy.typing import NDArray

from engine.geometry.mesh_topology import LEFT_ORBIT, OVAL, RIGHT_ORBIT
from engine.pixels.raster import convex_hull
from engine.pixels.tone import blur
from engine.values import Bytes, Mask, Points

_SAMPLES = 4  # subpixels along each side of a pixel
_PLAIN = 0.99  # of a mask: no pixel of its soft edge
_NOSE_TIP, _CHIN, _MOUTH = 4, 152, 13
_LEFT_CHEEK, _RIGHT_CHEEK = 50, 280
_LEFT_TEMPLE, _RIGHT_TEMPLE = 234, 454


@dataclass(frozen=True, slots=True, eq=False)
class Covered:
    """A picture with something before its face, and the mask of that, 0..1 (h, w)."""

    kind: str
    picture: Bytes
    mask: Mask


def covered(picture: Bytes, mesh: Points) -> Iterator[Covered]:
    """Yield a picture with each of the occluders before the face of a mesh (468, 3)."""
    for kind, draw in _KINDS.items():
        mask, colour = draw(picture, mesh)
        amount = mask[..., None]
        mixed = picture * (1 - amount) + colour * amount
        yield Covered(kind, np.rint(np.clip(mixed, 0, 255)).astype(np.uint8), mask)


def change(before: Covered, after: Bytes, mesh: Points) -> float | None:
    """Change of what covers the face by a swap: mean distance in CIELAB, 0 = kept.

    Only pixels within the mesh's oval count. None where there are none.
    """
    height, width = before.mask.shape
    oval = np.zeros((height, width), np.uint8)
    cv2.fillPoly(oval, [np.rint(mesh[list(OVAL), :2]).astype(np.int32)], 1)
    there = (before.mask > _PLAIN) & (oval > 0)
    if not there.any():
        return None
    one, other = (
        cv2.cvtColor((picture / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)[there]
        for picture in (before.picture, after)
    )
    return float(np.linalg.norm(one - other, axis=1).mean())


_Drawn = tuple[Mask, NDArray[np.float32]]


def _bar(colour: tuple[int, int, int]) -> Callable[[Bytes, Points], _Drawn]:
    """Return an opaque bar from cheek to chin, across a corner of the mouth."""

    def draw(picture: Bytes, mesh: Points) -> _Drawn:
        unit = eye_distance(mesh)
        cheek, chin = mesh[_LEFT_CHEEK, :2], mesh[_CHIN, :2]
        along = (chin - cheek) / max(float(np.linalg.norm(chin - cheek)), 1e-6)
        mask = _lines(picture, [(cheek - along * unit, chin + along * unit)], 0.35 * unit)
        return mask, _plain(picture, colour)

    return draw


def _spectacles(picture: Bytes, mesh: Points) -> _Drawn:
    """Return a dark frame around each eye, a bridge and two arms; the lenses are clear."""
    unit = eye_distance(mesh)
    canvas = _canvas(picture)
    width = 0.07 * unit
    rims = []
    for orbit in (LEFT_ORBIT, RIGHT_ORBIT):
        ring = mesh[list(orbit), :2]
        middle = ring.mean(axis=0)
        rims.append(middle + (convex_hull(ring) - middle) * 1.15)
        cv2.polylines(canvas, [_fixed(rims[-1])], True, 255, _thick(width))
    left, right = rims
    inner = (left[left[:, 0].argmax()], right[right[:, 0].argmin()])
    arms = (
        (left[left[:, 0].argmin()], mesh[_LEFT_TEMPLE, :2]),
        (right[right[:, 0].argmax()], mesh[_RIGHT_TEMPLE, :2]),
    )
    for start, end in (inner, *arms):
        _line(canvas, start, end, width)
    return _small(canvas, picture), _plain(picture, (38, 26, 20))


def _fingers(picture: Bytes, mesh: Points) -> _Drawn:
    """Three fingers of the face's own skin, from below over a cheek and the mouth's corner."""
    unit = eye_distance(mesh)
    chin, cheek, mouth = mesh[_CHIN, :2], mesh[_RIGHT_CHEEK, :2], mesh[_MOUTH, :2]
    up = (cheek - chin) / max(float(np.linalg.norm(cheek - chin)), 1e-6)
    across = np.array((-up[1], up[0]), np.float32)
    across *= np.sign(float((cheek - mouth) @ across)) or 1.0
    width = 0.3 * unit
    colour = _plain(picture, _skin(picture, mesh))
    masks = []
    for number, reach in enumerate((0.95, 1.1, 0.9)):
        start = chin + across * ((number - 0.3) * 1.12 * width) - up * unit
        tip = chin + across * ((number - 0.3) * 1.12 * width) + up * (reach * unit)
        mask = _lines(picture, [(start, tip)], width, rounded=True)
        # Darker towards the finger's sides, as a round thing is.
        middle = blur(mask, max(width / 4, 0.5))
        colour *= 1 - (mask * (0.45 * (1 - middle)))[..., None]
        masks.append(mask)
    return np.asarray(np.max(masks, axis=0), np.float32), colour


def _microphone(picture: Bytes, mesh: Points) -> _Drawn:
    """Return a dark ball before the chin with a glint, and a handle below it."""
    unit = eye_distance(mesh)
    mouth, chin = mesh[_MOUTH, :2], mesh[_CHIN, :2]
    centre, radius = mouth + (chin - mouth) * 0.6, 0.38 * unit
    down = (chin - mouth) / max(float(np.linalg.norm(chin - mouth)), 1e-6)
    canvas = _canvas(picture)
    cv2.circle(canvas, tuple(_fixed(centre).tolist()), round(radius * _SAMPLES), 255, -1)
    ball = _small(canvas, picture)
    handle = _lines(picture, [(centre, centre + down * 3 * unit)], 0.3 * unit)
    ys, xs = np.mgrid[: picture.shape[0], : picture.shape[1]]
    aside = np.hypot(xs - centre[0] + radius * 0.35, ys - centre[1] + radius * 0.35) / radius
    shade = (35 + 60 * np.clip(1 - aside, 0, 1)).astype(np.float32)
    colour = np.repeat(shade[..., None], 3, axis=2)
    colour[ball < 0.5] = 28
    return np.maximum(ball, handle), colour


_KINDS: dict[str, Callable[[Bytes, Points], _Drawn]] = {
    "dark bar": _bar((25, 32, 60)),
    "light bar": _bar((225, 220, 205)),
    "spectacles": _spectacles,
    "fingers": _fingers,
    "microphone": _microphone,
}


def _skin(picture: Bytes, mesh: Points) -> tuple[float, float, float]:
    """Return the colour of the cheeks."""
    reach = max(1, round(0.08 * eye_distance(mesh)))
    patches = []
    for cheek in (_LEFT_CHEEK, _RIGHT_CHEEK):
        x, y = np.rint(mesh[cheek, :2]).astype(int)
        patches.append(
            picture[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach].reshape(-1, 3)
        )
    red, green, blue = np.median(np.concatenate(patches), axis=0).tolist()
    return red, green, blue


def _plain(picture: Bytes, colour: tuple[float, float, float]) -> NDArray[np.float32]:
    return np.broadcast_to(np.array(colour, np.float32), picture.shape).copy()


def _canvas(picture: Bytes) -> NDArray[np.uint8]:
    height, width = picture.shape[:2]
    return np.zeros((height * _SAMPLES, width * _SAMPLES), np.uint8)


def _small(canvas: NDArray[np.uint8], picture: Bytes) -> Mask:
    height, width = picture.shape[:2]
    small = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small / np.float32(255), np.float32)


def _lines(
    picture: Bytes,
    ends: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
    width: float,
    *,
    rounded: bool = False,
) -> Mask:
    canvas = _canvas(picture)
    for start, end in ends:
        if rounded:
            _line(canvas, start, end, width)
            continue
        along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-6)
        aside = np.array((-along[1], along[0])) * width / 2
        corners = np.stack([start + aside, end + aside, end - aside, start - aside])
        cv2.fillPoly(canvas, [_fixed(corners)], 255)
    return _small(canvas, picture)


def _line(
    canvas: NDArray[np.uint8],
    start: NDArray[np.floating[Any]],
    end: NDArray[np.floating[Any]],
    width: float,
) -> None:
    """Draw a line with round ends."""
    cv2.line(canvas, _fixed(start).tolist(), _fixed(end).tolist(), 255, _thick(width))


def _fixed(points: NDArray[np.floating[Any]]) -> NDArray[np.int32]:
    """Points of the picture as those of its canvas."""
    return np.asarray(np.rint((points + 0.5) * _SAMPLES - 0.5), np.int32)


def _thick(width: float) -> int:
    return max(1, round(width * _SAMPLES))
