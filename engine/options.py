"""What a user chose, as frozen values; `parameters.py` makes them from the public parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias

from engine.values import Gender, Race

SelectorMode: TypeAlias = Literal["reference", "many", "one"]
SelectorOrder: TypeAlias = Literal[
    "left-right",
    "right-left",
    "top-bottom",
    "bottom-top",
    "small-large",
    "large-small",
    "best-worst",
    "worst-best",
]
# What names the best network that is installed.
AUTO: Final = "auto"
# "auto", "cpu", "cuda", "cuda:N" (the card of that number, from 0) or "tensorrt".
Device: TypeAlias = str
DEVICES: Final = "auto, cpu, cuda, cuda:N, tensorrt"
DEVICE_PATTERN: Final = r"^(auto|cpu|cuda(:\d{1,2})?|tensorrt)$"
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
# What becomes of sound that the output's container cannot hold: encoded anew, or left out. "drop"
# leaves all sound out.
AudioMode: TypeAlias = Literal["transcode", "copy", "drop"]
MetadataMode: TypeAlias = Literal["keep", "none"]

# What a face parser tells apart and a swap can be limited to.
FaceRegion: TypeAlias = Literal[
    "skin",
    "left-eyebrow",
    "right-eyebrow",
    "left-eye",
    "right-eye",
    "glasses",
    "nose",
    "mouth",
    "upper-lip",
    "lower-lip",
]


@dataclass(frozen=True, slots=True)
class SelectionRule:
    """Which faces are swapped. Ages are closed bounds; distances are 1 - cosine."""

    mode: SelectorMode = "reference"
    order: SelectorOrder = "large-small"
    gender: Gender | None = None
    race: Race | None = None
    age_start: int = 0
    age_end: int = 100
    reference_distance: float = 0.6
    reference_frame: int = 1  # 1-based
    reference_position: int = 0  # index among the reference frame's ordered, filtered faces
    reference_images: tuple[Path, ...] = ()

    @property
    def wants_age(self) -> bool:
        """Whether the bounds leave anybody out."""
        return self.age_start > 0 or self.age_end < 100


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """How faces are looked for."""

    detect_rotated: bool = False  # also look for heads turned by 90, 180 and 270 degrees
    detect_every: int = 5  # frames between detections; the mesh follows the faces in between
    detector_size: int = 640  # longer side of the picture that the detector sees
    detector_score: float | None = None  # least score of a face; None takes the detector's own
    detector: str = "auto"  # by the network's name; "auto" is the best that is installed
    embedder: str = "auto"
    landmarker: str = "auto"


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """How the output is encoded, and what it takes of the target; None means what fits it."""

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pixel_format: str | None = None  # by FFmpeg's name, or "keep" for the nearest to the target's
    audio: AudioMode = "transcode"
    metadata: MetadataMode = "keep"


@dataclass(frozen=True, slots=True)
class Compute:
    """Where the networks run, how exactly, and with how much of a card's memory."""

    device: Device = "auto"
    precision: Precision = "fp32"  # of swappers and restorers; all else is fp32
    vram: float | None = None  # GiB of a card that one network may take; None is no limit


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """Where of a face the swap shows, beside the face's own outline; and whose colours it has."""

    occluder: str | None = AUTO  # by the network's name; "auto" is our own, None asks none
    regions: tuple[FaceRegion, ...] = ()  # none: all of the face
    parser: str = "auto"  # the network that tells the regions apart
    keep_mouth: bool = False
    match_colour: bool = False


@dataclass(frozen=True, slots=True)
class EnhanceOptions:
    """Which network draws swapped faces anew, and how much of its answer shows."""

    enhancer: str | None = None  # by the network's name, or "auto"; None leaves faces as swapped
    blend: float = 0.8
    fidelity: float = (
        0.5  # of codeformer: from 0, its own idea of the face, to 1, what it was given
    )


@dataclass(frozen=True, slots=True)
class Trim:
    """Seconds from the target's first picture; `end` is exclusive."""

    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class SwapOptions:
    """Everything about one swap but its three paths."""

    selection: SelectionRule = field(default_factory=SelectionRule)
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    trim: Trim = field(default_factory=Trim)
    limits: LimitOptions = field(default_factory=LimitOptions)
    enhance: EnhanceOptions = field(default_factory=EnhanceOptions)
    pixel_boost: int | None = 384  # side of the crop in pixels; None is what each face is worth
    exact_boost: bool = False  # whether a swapper that cannot do it may not take its next larger
    extra_sources: tuple[Path, ...] = ()  # more pictures of the person who is put in
    source_weight: float = 1.0  # from 0, the target's identity, over 1, the source's, to beyond it
    any_source: bool = False  # go on with a source whose face is hidden in part
    overwrite: bool = False
    content_check: bool = True
