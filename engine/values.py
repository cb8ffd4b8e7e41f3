"""The frozen values that cross rooms.

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
    """How a frame's planes hold its picture.

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
    """What the samples mean: the matrix and range in force, and the tags as they were in the file.

    `primaries`, `transfer` and `space` are the numbers of ITU-T H.273 (2 = unspecified), carried
    through untouched; `matrix` is the one that conversions use (an untagged file has one, too).
    """

    matrix: Matrix = "bt601"
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2
    space: int = 2
    chroma_location: int = 0


@dataclass(frozen=True, slots=True)
class Orientation:
    """How coded pixels become the displayed picture: mirror left-right, then turn by quarter turns.

    `quarter_turns` counts counter-clockwise quarter turns, as `numpy.rot90` does.
    """

    quarter_turns: int = 0
    mirrored: bool = False


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Frame(BriefRepr):
    """One picture in the pixel format that it was decoded in.

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
    """A face found: box and five points (left eye, right eye, nose, left and right mouth corner).

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
    """Landmarks of a network that was chosen besides the mesh's, in display space.

    `points` is (106, 2) in InsightFace's order of "2d106", or (68, 3) in the order of iBUG's 300-W
    for "3d68", with z in the unit of x and y.
    """

    scheme: LandmarkScheme
    points: Points


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a face looks like to the attribute networks; None where no network was asked."""

    age: int | None = None
    gender: Gender | None = None
    race: Race | None = None


@dataclass(frozen=True, slots=True)
class DistanceScale:
    """How the cosines of one embedder's embeddings read on the reference scale, ArcFace's.

    `knots` are pairs (own cosine, ArcFace's), both increasing; between them, -1 and 1 the scale is
    linear. No knots: the embedder's scale is the reference itself.
    """

    knots: tuple[tuple[float, float], ...] = ()

    def reference(self, cosine: float) -> float:
        """The cosine that ArcFace would give where this embedder gives `cosine`."""
        own, other = zip((-1.0, -1.0), *self.knots, (1.0, 1.0), strict=True)
        return float(np.interp(cosine, own, other)) if self.knots else cosine


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Face(BriefRepr):
    """A face in a frame.

    `embedding` is None where the plan of networks asks for none; `landmarks`, too: where they were
    asked for, faces are aligned by them.
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
    """A hand: MediaPipe's 21 landmarks, from the wrist along each finger, the thumb first.

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


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Planned(BriefRepr):
    """A frame, the faces found in it, those to be swapped, and the hands near faces.

    `sizes` are the sides of the chosen faces' crops in pixels, once they are settled.
    """

    frame: Frame
    faces: tuple[Face, ...]
    chosen: tuple[Face, ...]
    hands: tuple[Hand, ...] = ()
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BareFace(BriefRepr):
    """Where a face is seen: `mask` is 1 on the face and 0 on what is before it, in a crop's space.

    `to_crop` leads from the picture's pixels to the mask's.
    """

    mask: Mask
    to_crop: Affine


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Portrait(BriefRepr):
    """The identity to put in: a picture and the face in it.

    `pixels` is the picture, RGB 0..1; the face's coordinates are that picture's pixels. `bare`
    tells where the face is seen; None where no occluder was asked.
    """

    name: str
    pixels: Pixels
    face: Face
    bare: BareFace | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """Where landmarks lie in an aligned crop, as fractions of its side.

    `points` are ((x, y), ...): five of them for the five detection points, 468 for the mesh.
    """

    name: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Aligned(BriefRepr):
    """A square crop around one face: pixels, the display→crop matrix, the mesh in crop space.

    `score` is the mesh's, 0..1. `trust` tells how far a face may be drawn by its mesh, 0..1
    (`engine.faces.mesh_fit.mesh_trust`): 0 in profile. `embedding` is the face's, where it was
    analysed for one. `bare` is 1 where the face is seen and 0 on what is before it, of the crop's
    side; None where no occluder was asked.
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
    """What a swapper answers for a crop: pixels and mask in the crop's space."""

    pixels: Pixels
    mask: Mask
    to_crop: Affine


@dataclass(frozen=True, slots=True)
class Choice:
    """A swapper by name, and why it was this one."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a target is, read without decoding more than the first frame.

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
