"""Topology of MediaPipe's Face Mesh: canonical vertices, triangles, mirror pairs, named regions.

The vertices and triangles are MediaPipe's canonical face model (Apache-2.0; see
`weights/README.md`), x to the picture's right, y up, z towards the camera, in centimetres. The
region rings are vertex indices of that model, in order around the region. "Left" is the picture's
left of an upright face.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from engine.values import Points, Template

Indices = NDArray[np.intp]

OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LEFT_LIDS = (130, 25, 110, 24, 23, 22, 26, 112, 243, 190, 56, 28, 27, 29, 30, 247)
RIGHT_LIDS = (359, 255, 339, 254, 253, 252, 256, 341, 463, 414, 286, 258, 257, 259, 260, 467)
LEFT_ORBIT = (226, 31, 228, 229, 230, 231, 232, 233, 244, 189, 221, 222, 223, 224, 225, 113)
RIGHT_ORBIT = (446, 261, 448, 449, 450, 451, 452, 453, 464, 413, 441, 442, 443, 444, 445, 342)
LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
RIGHT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
INNER_LIPS = (
    *(78, 95, 88, 178, 87, 14, 317, 402, 318, 324),
    *(308, 415, 310, 311, 312, 13, 82, 81, 80, 191),
)
OUTER_LIPS = (
    *(61, 146, 91, 181, 84, 17, 314, 405, 321, 375),
    *(291, 409, 270, 269, 267, 0, 37, 39, 40, 185),
)
# Rings of the lips from inside to outside. All rings of eyes and lips have the same order: corner,
# lower vertices, corner, upper vertices backwards. Vertex i is opposite to vertex -i.
LIPS = (
    INNER_LIPS,
    (
        *(62, 96, 89, 179, 86, 15, 316, 403, 319, 325),
        *(292, 407, 272, 271, 268, 12, 38, 41, 42, 183),
    ),
    (
        *(76, 77, 90, 180, 85, 16, 315, 404, 320, 307),
        *(306, 408, 304, 303, 302, 11, 72, 73, 74, 184),
    ),
    OUTER_LIPS,
)
NOSTRILS = (98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64)
# Corners of each opening, and pairs (upper, lower) across it; `openness` is their ratio.
LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, MOUTH_CORNERS = (33, 133), (362, 263), (78, 308)
LEFT_EYE_GAP = ((160, 144), (159, 145), (158, 153))
RIGHT_EYE_GAP = ((387, 373), (386, 374), (385, 380))
MOUTH_GAP = ((82, 87), (13, 14), (312, 317))

TEMPLATE_SIDE = 23.0  # centimetres of the canonical face along the crop's side
TEMPLATE_CENTRE = (0.0, -1.4)  # below the face's centre, so that an open jaw stays in the crop


@dataclass(frozen=True, slots=True, eq=False)
class MeshTopology:
    """Canonical face and topology of the mesh.

    Attributes:
        vertices: (468, 3) float32, in centimetres.
        triangles: (898, 3) vertex indices. Seen from the camera with y down, a triangle that faces
            the camera has a positive area.
        mirror: (468,) index of the vertex mirrored left to right.
    """

    vertices: Points
    triangles: Indices
    mirror: Indices


@cache
def face_mesh() -> MeshTopology:
    """Return the topology, read once from the package's data."""
    with (
        files("engine.geometry").joinpath("canonical_face.npz").open("rb") as file,
        np.load(file) as data,
    ):
        vertices = data["vertices"].astype(np.float32)
        triangles = data["triangles"].astype(np.intp)
    mirrored = vertices * np.array((-1, 1, 1), np.float32)
    gaps = np.linalg.norm(mirrored[:, None] - vertices[None], axis=2)
    corners = vertices[triangles, :2] * np.array((1, -1), np.float32)
    flipped = signed_areas(corners) < 0
    # The majority decides: a few folded triangles face away even in a frontal view.
    if flipped.mean() > 0.5:
        triangles = triangles[:, ::-1].copy()
    return MeshTopology(vertices, triangles, gaps.argmin(axis=1))


def signed_areas(corners: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return twice the signed area of each triangle, (m,); `corners` is (m, 3, 2)."""
    first = corners[:, 1] - corners[:, 0]
    second = corners[:, 2] - corners[:, 0]
    areas: NDArray[np.float32] = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    return areas


def vertex_normals(points: Points, mesh: MeshTopology) -> Points:
    """Return unit normals (468, 3) of mesh `points` (468, 3), y down, z away from the camera.

    They point into the head: z is positive for a vertex that faces the camera.
    """
    corners = points[mesh.triangles]
    faces = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, mesh.triangles[:, corner], faces)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return normals.astype(np.float32)


@cache
def frontal_points(mesh: MeshTopology) -> Points:
    """Return the canonical vertices in the template's unit square, (468, 3), read-only.

    y points down, z away from the camera.
    """
    centre = np.array((*TEMPLATE_CENTRE, 0.0))
    flipped = (mesh.vertices - centre) * (1, -1, -1)
    points: Points = (flipped / TEMPLATE_SIDE + (0.5, 0.5, 0)).astype(np.float32)
    points.flags.writeable = False
    return points


def mesh_template() -> Template:
    """Return the template for crops that are aligned by the whole mesh."""
    points = frontal_points(face_mesh())
    return Template("face_mesh_468", tuple((float(x), float(y)) for x, y, _ in points))


def rigid_fit(source: Points, target: Points) -> NDArray[np.float64]:
    """Return the 3-D similarity (3, 4) that best maps `source` to `target`, both (n, 3).

    Least squares in closed form (Umeyama 1991).
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = (source - source_mean).astype(np.float64), (target - target_mean).astype(np.float64)
    u, sizes, vt = np.linalg.svd(b.T @ a)
    signs = np.array((1.0, 1.0, np.sign(np.linalg.det(u @ vt))))
    turn = (u * signs) @ vt
    scale = (sizes * signs).sum() / (a**2).sum()
    return np.column_stack((scale * turn, target_mean - scale * turn @ source_mean))


def openness(points: Points, gap: tuple[tuple[int, int], ...], corners: tuple[int, int]) -> float:
    """Return the mean height of an opening over its width; `points` is (468, 2 or 3)."""
    width = float(np.linalg.norm(points[corners[0], :2] - points[corners[1], :2]))
    heights = [float(np.linalg.norm(points[a, :2] - points[b, :2])) for a, b in gap]
    return sum(heights) / len(heights) / max(width, 1e-6)
