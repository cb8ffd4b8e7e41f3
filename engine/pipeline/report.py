"""Report of a finished swap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from engine.options import SelectorMode
from engine.pipeline.spans import Span
from engine.values import Attributes, Box, Choice


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """Seconds of work in each stage, without the time spent waiting for other stages.

    Stages run at the same time, and `swap` adds up its workers, so the sum may exceed the run's
    time.
    """

    decode: float = 0.0
    analyse: float = 0.0
    swap: float = 0.0
    encode: float = 0.0


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """Picture from which the source was read; `seconds` is its time in a clip, None for a still."""

    field: str
    path: Path
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """Reference face: the picture it was found in, its box, score and attributes."""

    where: str
    box: Box
    score: float
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Selection:
    """Result of the face selection.

    Distances are 1 - cosine on the reference scale; None if none was measured.
    """

    mode: SelectorMode
    references: tuple[Reference, ...] = ()
    distance_limit: float | None = None
    smallest_accepted: float | None = None
    mean_accepted: float | None = None
    nearest_rejected: float | None = None


@dataclass(frozen=True, slots=True)
class RoleResult:
    """Result of one role of a cast.

    Attributes:
        name: the role's name.
        keeps: True if its person stays as is.
        faces: faces that got the role, summed over the frames.
        frames: frames with such a face.
        first: time of the first of these frames, in seconds after the output's first.
        last: time of the last one.
        smallest_distance: smallest distance of a face to the role's person; None if none was
            measured.
        mean_distance: mean of these distances.
    """

    name: str
    keeps: bool
    faces: int
    frames: int
    first: float | None = None
    last: float | None = None
    smallest_distance: float | None = None
    mean_distance: float | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """Result of the content check: highest scores from 0 (safe) to 1, and numbers of pictures.

    Attributes:
        checked: False if the check was turned off on purpose.
        limit: score from which a picture is refused.
        sample_seconds: time between two checked pictures of a video while it is swapped.
        source_score: highest score of the source's pictures.
        target_score: highest score of the target's pictures.
        target_previewed: pictures of a video checked before the first was swapped: the first, and
            some key frames.
        target_samples: pictures of the target checked while it was swapped.
    """

    checked: bool
    limit: float
    sample_seconds: float
    source_score: float | None = None
    target_score: float | None = None
    target_previewed: int = 0
    target_samples: int = 0


@dataclass(frozen=True, slots=True)
class Setup:
    """Networks of a swap, and the device that they ran on.

    Attributes:
        swapper: the swapper's name, and why it was chosen.
        networks: names of the networks that changed faces besides the swapper, by parameter.
        readers: names of the networks that found and read faces, by parameter.
        weights: sha256 of the weight files of all these networks, by network.
        device: "cpu", "cuda:0" and so on.
    """

    swapper: Choice
    networks: Mapping[str, str]
    readers: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, str]
    device: str


@dataclass(frozen=True, slots=True)
class SwapReport:
    """Report of one swap.

    Attributes:
        output: the file that was written.
        kind: kind of the target and of the output.
        frames: frames written; 1 for a still picture.
        faces_seen: faces detected, summed over the frames.
        faces_swapped: chosen faces on which the swap is visible in the output.
        faces_faded: chosen faces that the output shows unchanged, because the swapper faded out
            (in profile, for example) or because something covers them.
        frames_with_swap: frames with at least one swapped face.
        seconds: time of the whole run.
        stage_seconds: time of each stage.
        setup: networks and device.
        sources: pictures from which the source was read.
        selection: reference faces and distances.
        roles: result of each role of a cast; empty without one.
        content: result of the content check.
        notes: sentences that explain the engine's choices.
        warnings: sentences that ask the user to look at the output.
        spans: parts of a video that want a look, the worst first.
        more_spans: number of such parts that are not in `spans`.
        parameters: public parameters of the request, with the pixel boost that was used.
    """

    output: Path
    kind: Literal["video", "image"]
    frames: int
    faces_seen: int
    faces_swapped: int
    faces_faded: int
    frames_with_swap: int
    seconds: float
    stage_seconds: StageSeconds
    setup: Setup
    sources: tuple[SourcePicture, ...]
    selection: Selection
    content: Content
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    spans: tuple[Span, ...]
    more_spans: int
    parameters: Mapping[str, Any]
    roles: tuple[RoleResult, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values, with the fields of `setup` beside its own."""
        values: dict[str, Any] = _to_json(self)
        flat: dict[str, Any] = {}
        for name, value in values.items():
            flat |= value if name == "setup" else {name: value}
        return flat


def _to_json(value: Any) -> Any:
    """Return a value of a report as dicts, lists, strings, numbers, booleans and None."""
    if is_dataclass(value):
        return {field.name: _to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    return str(value) if isinstance(value, Path) else value
