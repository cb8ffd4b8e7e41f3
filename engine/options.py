"""The user's choices as frozen values; `parameters.py` makes them from the public parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

Gender: TypeAlias = Literal["female", "male"]
Race: TypeAlias = Literal["white", "black", "asian", "indian", "middle eastern", "latino hispanic"]
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
PixelBoost: TypeAlias = Literal[
    "128x128", "256x256", "384x384", "512x512", "768x768", "1024x1024", "auto"
]
# Sides of the square crops that `PixelBoost` names, in pixels.
PIXEL_BOOSTS: Final = tuple(
    int(boost.partition("x")[0]) for boost in get_args(PixelBoost) if boost != "auto"
)
# Stands for the best network that is installed.
AUTO: Final = "auto"
# "auto", "cpu", "cuda", "cuda:N" (card N, counted from 0) or "tensorrt".
Device: TypeAlias = str
DEVICES: Final = "auto, cpu, cuda, cuda:N, tensorrt"
DEVICE_PATTERN: Final = r"^(auto|cpu|cuda(:\d{1,2})?|tensorrt)$"
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]
# Sound that the output's container cannot hold is transcoded, or left out by "copy". "drop" leaves
# out all sound.
AudioMode: TypeAlias = Literal["transcode", "copy", "drop"]
MetadataMode: TypeAlias = Literal["keep", "none"]

# Parts of a face that a face parser segments.
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
    """Rule that selects the faces to swap.

    Attributes:
        age_start: Youngest age, in years.
        age_end: Oldest age, included.
        reference_distance: Greatest distance (1 - cosine) of a match.
        reference_frame: Number of the reference frame; the first is 1.
        reference_position: Index among the filtered, ordered faces of the reference frame.
        reference_images: Pictures of the person to replace, instead of a frame.
    """

    mode: SelectorMode = "reference"
    order: SelectorOrder = "large-small"
    gender: Gender | None = None
    race: Race | None = None
    age_start: int = 0
    age_end: int = 100
    reference_distance: float = 0.6
    reference_frame: int = 1
    reference_position: int = 0
    reference_images: tuple[Path, ...] = ()

    @property
    def wants_age(self) -> bool:
        """True if the ages exclude anybody."""
        return self.age_start > 0 or self.age_end < 100


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """Options of the analysis of frames.

    Attributes:
        detect_rotated: Also detect heads rotated by 90, 180 and 270 degrees.
        detect_every: Frames from one detection to the next; faces are tracked in between.
        detector_size: Longer side of the picture that the detector gets, in pixels.
        detector_score: Least score of a face, 0..1; None takes the detector's own.
        detector: Name of a network, or "auto"; `embedder` and `landmarker` likewise.
    """

    detect_rotated: bool = False
    detect_every: int = 5
    detector_size: int = 640
    detector_score: float | None = None
    detector: str = AUTO
    embedder: str = AUTO
    landmarker: str = AUTO


@dataclass(frozen=True, slots=True)
class EncodeOptions:
    """Options of the output's encoding; None takes what fits the target.

    Attributes:
        pixel_format: FFmpeg's name of a pixel format, or "keep" for the nearest to the target's.
    """

    codec: str | None = None
    crf: float | None = None
    preset: str | None = None
    pixel_format: str | None = None
    audio: AudioMode = "transcode"
    metadata: MetadataMode = "keep"


@dataclass(frozen=True, slots=True)
class Compute:
    """Device, precision and memory of the networks.

    Attributes:
        precision: Precision of swappers and restorers; all other networks run at fp32.
        vram: GiB of a card's memory that one network may take; None is no limit.
    """

    device: Device = AUTO
    precision: Precision = "fp32"
    vram: float | None = None


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """Options that limit where in a face the swap shows, and match its colours.

    Attributes:
        occluder: Name of a network, "auto" for the embedded one, or None for none.
        regions: Parts of the face to swap; empty for all of it.
        parser: Name of the network that segments the regions.
    """

    occluder: str | None = AUTO
    regions: tuple[FaceRegion, ...] = ()
    parser: str = AUTO
    keep_mouth: bool = False
    match_colour: bool = False


@dataclass(frozen=True, slots=True)
class EnhanceOptions:
    """Options of the restorer.

    Attributes:
        enhancer: Name of a restorer, "auto", or None for none.
        blend: Opacity of the restorer's output, 0..1.
        fidelity: Weight of codeformer, from 0 (restores freely) to 1 (keeps to the swapped face).
    """

    enhancer: str | None = None
    blend: float = 0.8
    fidelity: float = 0.5


@dataclass(frozen=True, slots=True)
class Trim:
    """Part of the target, in seconds from its first frame; `end` is exclusive."""

    start: float | None = None
    end: float | None = None


@dataclass(frozen=True, slots=True)
class SwapOptions:
    """Options of one swap, without its three paths.

    Attributes:
        pixel_boost: Side of the crops in pixels; None chooses one for each face.
        exact_boost: Refuse a swapper that cannot do `pixel_boost`, rather than take a larger one.
        extra_sources: Further pictures of the person in the source.
        source_weight: Weight of the source's identity: 0 is the target's, 1 the source's.
        any_source: Accept a source whose face is partly hidden.
    """

    selection: SelectionRule = field(default_factory=SelectionRule)
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    trim: Trim = field(default_factory=Trim)
    limits: LimitOptions = field(default_factory=LimitOptions)
    enhance: EnhanceOptions = field(default_factory=EnhanceOptions)
    pixel_boost: int | None = 384
    exact_boost: bool = False
    extra_sources: tuple[Path, ...] = ()
    source_weight: float = 1.0
    any_source: bool = False
    overwrite: bool = False
    content_check: bool = True
