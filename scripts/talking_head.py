"""A film made of one person's expressions: a face that moves from each to the next.

Between two expressions every landmark travels, both pictures are bent to the landmarks' places of
that moment, and the one dissolves into the other. Hair, neck and wall are those of the first
picture throughout, so that nothing but the face dissolves. The head sways in space and a slow
camera looks on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from engine.geometry import affine
from engine.geometry.mesh_topology import OVAL
from engine.pipeline.threads import ordered_map
from engine.values import Affine, Bytes, Mask, Points

Triangles = NDArray[np.intp]

SIZE = (1280, 720)
# The bending is worked out on a grid this many times coarser: between its points it is linear.
COARSE = 2
# Wall beside the picture, mirrored from its own, for a film that is wider than the picture.
MARGIN = 160
# Rings around the face, in face radii: hair and ears follow the head.
RINGS = (1.25, 1.6)
MESH = 468


@dataclass(frozen=True, slots=True)
class Beat:
    """An expression: how many seconds it takes to get there, and to stay."""

    expression: str
    travel: float
    stay: float


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """A picture with its margin, and the points that carry it: mesh, rings around it, border.

    `points` is (n, 3); z counts pixels away from the camera, and the border stays where it is.
    """

    picture: Bytes
    points: Points


def poses(cells: Mapping[str, Bytes], meshes: Mapping[str, Points]) -> dict[str, Pose]:
    """Poses of pictures of one size; each mesh is (468, 3) in its own picture's pixels."""
    first = next(iter(cells))
    neutral = meshes[first].astype(np.float64)
    centre = neutral.mean(axis=0)
    rings = np.concatenate([centre + r * (neutral[list(OVAL)] - centre) for r in RINGS])
    height, width = cells[first].shape[:2]
    edge = border(width, height)
    posed = {}
    for name, cell in cells.items():
        mesh = meshes[name].astype(np.float64)
        mesh[:, 2] -= mesh[:, 2].mean()
        head = affine.fit_similarity(neutral[:, :2], mesh[:, :2])
        points = np.concatenate([mesh, affine.apply(head, rings), edge])
        points[:, :2] += MARGIN
        picture = cv2.copyMakeBorder(cell, *(MARGIN,) * 4, cv2.BORDER_REFLECT_101)
        posed[name] = Pose(cast("Bytes", picture), points.astype(np.float32))
    return posed


def border(width: int, height: int) -> NDArray[np.float64]:
    """Points along the edge of a picture with its margin, (n, 3), z 0."""
    x = np.linspace(-MARGIN, width - 1 + MARGIN, 9)
    y = np.linspace(-MARGIN, height - 1 + MARGIN, 7)
    across = [(each, edge, 0.0) for each in x for edge in (y[0], y[-1])]
    along = [(edge, each, 0.0) for each in y[1:-1] for edge in (x[0], x[-1])]
    return np.array(across + along)


def film(
    posed: Mapping[str, Pose], script: Sequence[Beat], rate: int, workers: int = 2
) -> Generator[Bytes]:
    """Yield the film's pictures, (720, 1280, 3) RGB, beginning at the first beat's expression."""
    base = posed[script[0].expression]
    height, width = base.picture.shape[:2]
    triangles = delaunay(np.mean([pose.points[:, :2] for pose in posed.values()], axis=0))
    instants = list(timeline(script, rate))

    def picture(number: int) -> Bytes:
        before, after, progress = instants[number]
        time = number / rate
        a, b = posed[before], posed[after]
        shape = swayed(a.points + eased(progress) * (b.points - a.points), time)
        camera = camera_at(time, len(instants) / rate, (width, height))
        bend = Bend(affine.apply(camera, shape[:, :2]), triangles)
        face = bend.apply(a)
        # The dissolve is shorter than the travel: few pictures show two expressions.
        share = eased(min(max((progress - 0.25) / 0.5, 0.0), 1.0))
        if share > 0:
            face = cast("Bytes", cv2.addWeighted(face, 1 - share, bend.apply(b), share, 0))
        whole = face if a is base is b else over(bend.apply(base), face, bend.face_mask())
        return finish(whole, np.random.default_rng(number))

    yield from ordered_map(picture, range(len(instants)), workers, 2 * workers)


def over(below: Bytes, above: Bytes, mask: Mask) -> Bytes:
    """`above` where the mask is 1, `below` where it is 0."""
    mixed = below + (above.astype(np.float32) - below) * mask[..., None]
    return mixed.astype(np.uint8)


def finish(picture: Bytes, grain: np.random.Generator) -> Bytes:
    """Return the picture a little sharper, with film grain."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.6)
    crisp = cv2.addWeighted(picture, 1.5, soft, -0.5, 0)
    noise = grain.standard_normal((SIZE[1], SIZE[0], 1), np.float32) * 1.2
    return np.clip(crisp + noise, 0, 255).astype(np.uint8)


def timeline(script: Sequence[Beat], rate: int) -> Iterator[tuple[str, str, float]]:
    """(from, to, progress 0..1) of each frame."""
    before = script[0].expression
    for beat in script:
        travel = round(beat.travel * rate)
        for step in range(travel):
            yield before, beat.expression, (step + 1) / travel
        for _ in range(round(beat.stay * rate)):
            yield beat.expression, beat.expression, 0.0
        before = beat.expression


def eased(progress: float) -> float:
    """Slow at both ends: 3p^2 - 2p^3."""
    return progress * progress * (3 - 2 * progress)


def swayed(points: Points, time: float) -> Points:
    """Turn the head's points by a few degrees around the neck; the border stays."""
    edge = MESH + len(RINGS) * len(OVAL)
    head = points[:edge].astype(np.float64)
    mesh = head[:MESH]
    reach = float(np.ptp(mesh[:, 1]))
    pivot = np.array([mesh[:, 0].mean(), mesh[:, 1].max(), 0.35 * reach])
    yaw = np.radians(4.5) * np.sin(2 * np.pi * time / 5.3)
    pitch = np.radians(2.5) * np.sin(2 * np.pi * time / 3.4 + 1)
    roll = np.radians(1.5) * np.sin(2 * np.pi * time / 4.3 + 2)
    turn = rotation(1, yaw) @ rotation(0, pitch) @ rotation(2, roll)
    moved = points.astype(np.float64)
    moved[:edge] = pivot + (head - pivot) @ turn.T
    return moved.astype(np.float32)


def rotation(axis: int, angle: float) -> NDArray[np.float64]:
    """Return the rotation (3, 3) about x, y or z (0, 1, 2), in radians."""
    one, two = (axis + 1) % 3, (axis + 2) % 3
    turn = np.eye(3)
    turn[one, one] = turn[two, two] = np.cos(angle)
    turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
    return turn


def camera_at(time: float, whole: float, size: tuple[int, int]) -> Affine:
    """Picture to film: a slow push-in that sways and tilts a little."""
    width, height = size
    turn = 2 * np.pi * time
    zoom = 2.3 + 0.22 * eased(time / whole) + 0.03 * np.sin(turn / 3.1)
    tilt = np.radians(1.5) * np.sin(turn / 4.7)
    linear = zoom * np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    looked_at = np.array([width / 2 + 9 * np.sin(turn / 3.7), height / 2 + 4 * np.sin(turn / 2.9)])
    middle = np.array(SIZE) / 2
    return np.column_stack([linear, middle - linear @ looked_at])


def delaunay(points: Points) -> Triangles:
    """Triangles (m, 3) over points (n, 2)."""
    low, high = np.floor(points.min(axis=0)) - 2, np.ceil(points.max(axis=0)) + 2
    plane = cv2.Subdiv2D((int(low[0]), int(low[1]), *(high - low + 2).astype(int).tolist()))
    index = {plane.insert((x, y)): number for number, (x, y) in enumerate(points.tolist())}
    triangles = []
    for corners in np.asarray(plane.getTriangleList()).reshape(-1, 3, 2).tolist():
        vertices = [plane.locate((x, y))[2] for x, y in corners]
        if all(vertex in index for vertex in vertices):
            triangles.append([index[vertex] for vertex in vertices])
    return np.array(triangles, np.intp)


class Bend:
    """The piecewise affine map that brings poses to one moment's points (n, 2) in the film."""

    def __init__(self, moment: Points, triangles: Triangles) -> None:
        self._triangles = triangles
        self._place = (moment - (COARSE - 1) / 2) / COARSE
        width, height = SIZE[0] // COARSE, SIZE[1] // COARSE
        corners = self._place[triangles].astype(np.float64)
        self._owner = np.zeros((height, width), np.int32)
        for number, triangle in enumerate(np.rint(corners * 16).astype(np.int32)):
            cv2.fillConvexPoly(self._owner, triangle, number, cv2.LINE_8, 4)
        basis = np.concatenate([corners, np.ones((len(corners), 3, 1))], axis=2)
        # A triangle seen edge-on owns no pixel to speak of; any map will do.
        basis[np.abs(np.linalg.det(basis)) < 1e-6] = np.eye(3)
        self._inverse = np.linalg.inv(basis)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        self._x, self._y = x[..., None], y[..., None]

    def apply(self, pose: Pose) -> Bytes:
        """Return the pose's picture with its points at this moment's."""
        maps = (self._inverse @ pose.points[self._triangles][..., :2]).astype(np.float32)
        slope_x, slope_y, start = (maps[:, row][self._owner] for row in range(3))
        coarse = slope_x * self._x + slope_y * self._y + start
        fine = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_LINEAR)
        x, y = np.ascontiguousarray(fine[..., 0]), np.ascontiguousarray(fine[..., 1])
        bent = cv2.remap(pose.picture, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        return cast("Bytes", bent)

    def face_mask(self) -> Mask:
        """1 inside the face, 0 outside of it, feathered inwards."""
        oval = self._place[list(OVAL)]
        centre = oval.mean(axis=0)
        inner = np.rint((centre + 0.93 * (oval - centre)) * 16).astype(np.int32)
        mask = np.zeros(self._owner.shape, np.float32)
        cv2.fillPoly(mask, [inner], 1.0, cv2.LINE_AA, 4)
        soft = cv2.GaussianBlur(mask, (0, 0), 5)
        return cast("Mask", cv2.resize(soft, SIZE, interpolation=cv2.INTER_LINEAR))
