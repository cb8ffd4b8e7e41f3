"""Frozen values that the rooms of the engine exchange.

Coordinates are in *display space*: pixels of the picture as a viewer sees it (after the display
rotation), x to the right, y down, the centre of the first pixel at (0, 0). Colours are RGB.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.options import Gender, Race

Points: TypeAlias = NDArray[np.float32]  # (n, 2) or (n, 3)
Affine: TypeAlias = NDArray[np.float64]  # (2, 3): maps (x, y, 1) to (x', y')
Pixels: TypeAlias = NDArray[np.float32]  # (h, w, 3) RGB, 0..1
Mask: TypeAlias = NDArray[np.float32]  # (h, w), 0..1
Bytes: TypeAlias = NDArray[np.uint8]  # (h, w, 3) RGB, 0..255
Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]  # (h, w)
Embedding: TypeAlias = NDArray[np.float32]  # (d,), unit length

_SHOWN = 3  # items of a tuple in a repr

Matrix: TypeAlias = Literal["bt601", "bt709", "bt2020", "rgb"]
LandmarkScheme: TypeAlias = Literal["2d106", "3d68"]


class BriefRepr:
    """Base of records that hold arrays: a repr that gives arrays by type and shape."""

    __slots__ = ()

    def __repr__(self) -> str:
        shown = (
            f"{each.name}={_brief(getattr(self, each.name))}"
            for each in fields(self)  # type: ignore[arg-type]
            if each.repr and not _is_default(each, getattr(self, each.name))
        )
        return f"{type(self).__name__}({', '.join(shown)})"


def _brief(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"<{value.dtype} {value.shape}>"
    if isinstance(value, tuple):
        items = ", ".join(map(_brief, value[:_SHOWN]))
        more = f", ... {len(value)} in all" if len(value) > _SHOWN else ""
        return f"({items}{more})"
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _is_default(each: Field[object], value: object) -> bool:
    if isinstance(value, np.ndarray):
        return False
    if each.default_factory is not MISSING:
        return value == each.default_factory()
    return each.default is not MISSING and value == each.default


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in display space; right and bottom are exclusive edges."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return max(self.width, 0.0) * max(self.height, 0.0)


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle of whole pixels in display space; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """Layout of a frame's planes.

    `planes` of a YUV frame are Y, U, V and perhaps A; of an RGB frame R, G, B and perhaps A; of a
    grey frame Y and perhaps A. `name` is FFmpeg's name of the planar format that holds them.
    """

    name: str
    family: Literal["yuv", "rgb", "gray"]
    bits: int
    chroma_shift_x: int = 0
    chroma_shift_y: int = 0
    alpha: bool = False


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour description of a frame: matrix and range in use, and the tags of the file.

    `primaries`, `transfer` and `space` are numbers of ITU-T H.273 (2 = unspecified), passed on
    unchanged. `matrix` is the one that conversions use; an untagged file has one, too.
    """

    matrix: Matrix = "bt601"
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    space: int = 2
    chroma_location: int = 0


@dataclass(frozen=True, slots=True)
class Orientation:
    """Steps from coded pixels to the displayed picture: mirror left-right, then rotate.

    `quarter_turns` counts counter-clockwise quarter turns, as `numpy.rot90` does.
    """

    quarter_turns: int = 0
    mirrored: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame(BriefRepr):
    """Decoded picture, in the pixel format of the decoder.

    `planes` are in *coded* orientation and hold native samples (uint8, or uint16 for more than
    8 bits); they are never written to. `pts` counts in units of `time_base`.
    """

    index: int
    pts: int
    time_base: Fraction
    planes: tuple[Plane, ...]
    format: PixelFormat
    colour: Colour = field(default_factory=Colour)
    orientation: Orientation = field(default_factory=Orientation)
    duration: int = 0

    @property
    def coded_size(self) -> tuple[int, int]:
        """(width, height) of the planes."""
        height, width = self.planes[0].shape
        return width, height

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as displayed."""
        width, height = self.coded_size
        return (height, width) if self.orientation.quarter_turns % 2 else (width, height)

    def to_rgb(self) -> Bytes:
        """Return the picture as displayed: (h, w, 3) RGB, uint8, without alpha."""
        from engine.pixels.planes import region_bytes  # noqa: PLC0415 - a room above this one

        return region_bytes(self, Rect(0, 0, *self.size))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Detection(BriefRepr):
    """Detected face: box and five points (left eye, right eye, nose, left and right mouth corner).

    "Left" is the picture's left. `points` is (5, 2).
    """

    box: Box
    score: float
    points: Points


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Mesh(BriefRepr):
    """468 dense landmarks in MediaPipe's Face Mesh topology.

    `points` is (468, 3): x, y in display space and z in the same unit, smaller towards the camera.
    `score` is the network's confidence that a face is there, 0..1.
    """

    points: Points
    score: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Landmarks(BriefRepr):
    """Landmarks of a network chosen besides the mesh network, in display space.

    `points` is (106, 2) in InsightFace's order of "2d106", or (68, 3) in the order of iBUG's 300-W
    for "3d68", with z in the unit of x and y.
    """

    scheme: LandmarkScheme
    points: Points


@dataclass(frozen=True, slots=True)
class Attributes:
    """Attributes as networks estimate them; None if no network was run."""

    age: int | None = None
    gender: Gender | None = None
    race: Race | None = None


@dataclass(frozen=True, slots=True)
class DistanceScale:
    """Map from one embedder's cosines to the reference scale, which is ArcFace's.

    `knots` are pairs (own cosine, ArcFace's), both increasing; the map is linear between them, and
    to -1 and 1. Without knots it is the identity.
    """

    knots: tuple[tuple[float, float], ...] = ()

    def reference(self, cosine: float) -> float:
        """Return the cosine on the reference scale for this embedder's `cosine`."""
        return float(self.references(np.float64(cosine)))

    def references(self, cosines: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
        """Return an array of this embedder's cosines on the reference scale."""
        if not self.knots:
            return np.asarray(cosines)
        own, other = zip((-1.0, -1.0), *self.knots, (1.0, 1.0), strict=True)
        return np.asarray(np.interp(cosines, own, other))


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Face(BriefRepr):
    """Face in a frame.

    `embedding`, `attributes` and `landmarks` are None if no network for them was run, `track` if
    the face was not tracked. Faces with landmarks are aligned by these.
    """

    detection: Detection
    mesh: Mesh
    embedding: Embedding | None = None
    attributes: Attributes | None = None
    track: int | None = None
    landmarks: Landmarks | None = None

    @property
    def box(self) -> Box:
        return self.detection.box

    @property
    def score(self) -> float:
        return self.detection.score


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Hand(BriefRepr):
    """Hand: MediaPipe's 21 landmarks, from the wrist along each finger, the thumb first.

    `points` is (21, 3): x, y in display space and z in the same unit, 0 at the wrist and smaller
    towards the camera. `score` is the network's confidence that a hand is there, 0..1.
    """

    points: Points
    score: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Analysed(BriefRepr):
    """A frame, the faces found in it, best score first, and the hands near them.

    `cut` tells that a new shot begins with it.
    """

    frame: Frame
    faces: tuple[Face, ...]
    hands: tuple[Hand, ...] = ()
    cut: bool = False


CastReason: TypeAlias = Literal[
    "nearest",
    "person",
    "correction",
    "plan",
    "another face is nearer",
    "too far",
    "nobody of the cast",
    "no embedding",
]


@dataclass(frozen=True, slots=True)
class Assignment:
    """Role that a cast gives to a face, and why: its index, or None where the face is kept.

    `distance` is that to the role's person, or to the nearest one where the face is kept; None if
    none was measured.
    """

    role: int | None
    reason: CastReason
    distance: float | None = None


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Planned(BriefRepr):
    """Frame with its faces, those chosen to be swapped, and the hands near faces.

    `assignments` are those of `faces` by a cast, and `roles` the roles of the chosen faces; empty,
    all have the first role. `sizes` are the sides of the chosen faces' crops in pixels; empty until
    they are assigned. `cut` tells that a new shot begins with the frame.
    """

    frame: Frame
    faces: tuple[Face, ...]
    chosen: tuple[Face, ...]
    hands: tuple[Hand, ...] = ()
    sizes: tuple[int, ...] = ()
    cut: bool = False
    roles: tuple[int, ...] = ()
    assignments: tuple[Assignment, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BareFace(BriefRepr):
    """Bare part of a face: `mask` is 1 where the face is bare and 0 where it is covered.

    `to_crop` maps the picture's pixels to the mask's.
    """

    mask: Mask
    to_crop: Affine


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Portrait(BriefRepr):
    """Picture of a source's face and its surroundings.

    `pixels` is RGB 0..1, (h, w, 3); the face's coordinates are its pixels. `bare` tells where the
    face is bare; None if no occluder was run.
    """

    name: str
    pixels: Pixels
    face: Face
    bare: BareFace | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """Positions of landmarks in an aligned crop, as fractions of its side.

    `points` are ((x, y), ...): five of them for the five detection points, 468 for the mesh.
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Aligned(BriefRepr):
    """Square crop around one face.

    Attributes:
        pixels: RGB 0..1, (size, size, 3).
        to_crop: map from display space to the crop.
        mesh: the face's mesh in pixels of the crop, (468, 3).
        score: score of the mesh, 0..1.
        embedding: the face's embedding; None if it was not read.
        bare: mask of the crop's size, 1 where the face is bare, 0 where something covers it; None
            if no occluder was run.
        trust: how well the face can be drawn by its mesh, 0..1, 0 in profile
            (`engine.faces.mesh_fit.mesh_trust`).
    """

    pixels: Pixels
    to_crop: Affine
    mesh: Points
    score: float = 1.0
    embedding: Embedding | None = None
    bare: Mask | None = None
    trust: float = 1.0


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Patch(BriefRepr):
    """Swapped or restored crop: RGB pixels 0..1 and mask, in the crop's space."""

    pixels: Pixels
    mask: Mask
    to_crop: Affine


@dataclass(frozen=True, slots=True)
class Choice:
    """Chosen swapper: its name, and the reason for the choice."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Description of a target, read without decoding more than the first frame.

    `size` is as displayed. `frame_count` is None where the container does not say.
    """

    kind: Literal["video", "image"]
    size: tuple[int, int]
    frame_rate: Fraction
    frame_count: int | None
    duration: float | None
    codec: str
    format: PixelFormat
    colour: Colour
    orientation: Orientation
