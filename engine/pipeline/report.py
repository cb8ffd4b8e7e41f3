"""What a finished swap has to say for itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from engine.options import SelectorMode
from engine.values import Attributes, Box, Choice


@dataclass(frozen=True, slots=True)
class StageSeconds:
    """Seconds of work in each stage, waiting for other stages left out.

    Stages run side by side and `swap` adds up its workers, so the sum may exceed the run's time.
    """

    decode: float = 0.0
    analyse: float = 0.0
    swap: float = 0.0
    encode: float = 0.0


@dataclass(frozen=True, slots=True)
class SourcePicture:
    """A picture that the source was read from; `seconds` tells where in a clip it is."""

    field: str
    path: Path
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference face: where it was found and what was read off it."""

    where: str
    box: Box
    score: float
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Selection:
    """Whom the selection meant. Distances are 1 - cosine; None where none was measured."""

    mode: SelectorMode
    references: tuple[Reference, ...] = ()
    distance_limit: float | None = None
    smallest_accepted: float | None = None
    mean_accepted: float | None = None
    nearest_rejected: float | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """The content check: highest scores from 0 (safe) to 1, and how many pictures were looked at.

    `checked` is False where the check was turned off on purpose. Of a video, `target_previewed`
    pictures were looked at before the first was swapped: the first and some key frames. While it is
    swapped, the first is looked at and then one in every `sample_seconds`, `target_samples` in all.
    A score of `limit` or more is refused.
    """

    checked: bool
    limit: float
    sample_seconds: float
    source_score: float | None = None
    target_score: float | None = None
    target_previewed: int = 0
    target_samples: int = 0


@dataclass(frozen=True, slots=True)
class SwapReport:
    """How one swap went. `notes` explain choices, `warnings` ask for a look at the output.

    `faces_faded` counts the chosen faces that the output shows as they were: the swapper faded out
    there, as in profile, or something covers them. They are not among `faces_swapped`. `networks`
    names what worked on the swapped faces besides the swapper, by the parameter that asked for it;
    `readers` names what found faces and read them. `weights` holds the sha256 of these files and
    the swapper's.
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
    swapper: Choice
    networks: Mapping[str, str]
    readers: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, str]
    device: str
    sources: tuple[SourcePicture, ...]
    selection: Selection
    content: Content
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    parameters: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON has it: dicts, lists, strings, numbers, booleans and None."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
