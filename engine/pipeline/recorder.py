"""Record what a run decides, frame by frame: counts, spans that want a look, and the trace."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.options import SelectionRule
from engine.pipeline.records import (
    VERSION,
    FaceRecord,
    FrameRecord,
    SwapRecord,
    Write,
    seconds_of,
    write_nothing,
)
from engine.pipeline.report import RoleResult
from engine.pipeline.spans import SpanFinder
from engine.pipeline.stages import SwappedFrame
from engine.plan.cast import Cast
from engine.selection import rejection
from engine.values import Assignment, Face, Frame, Planned


@dataclass(frozen=True, slots=True)
class _Pending:
    """Record of a frame whose faces are not swapped yet.

    `chosen` are the places of the chosen faces among all, `sides` the sides of their crops.
    """

    record: FrameRecord
    chosen: tuple[int, ...]
    sides: tuple[int, ...]


class Recorder:
    """Records the frames of one run, in their order.

    A chosen face counts as swapped if the swap is visible in the frame, else as faded. What is
    kept does not grow with the length of the run.

    Args:
        rule: the rule by which faces are chosen.
        roles: greatest distance of a match of each role of a cast, by its name; its assignments go
            before the rule.
        distance: returns a face's distance to the nearest reference; None without references.
        origin: pts of the target's first frame; None takes that of the first recorded one.
        write: called with the record of each finished frame.

    Attributes:
        listeners: called with the record of each frame that is finished in this run, too.
    """

    def __init__(
        self,
        rule: SelectionRule,
        distance: Callable[[Face], float] | None = None,
        *,
        roles: Mapping[str, float] | None = None,
        origin: int | None = None,
        write: Write = write_nothing,
    ) -> None:
        self.frames = 0
        self.faces_seen = 0
        self.faces_chosen = 0
        self.faces_swapped = 0
        self.frames_with_swap = 0
        self.smallest_accepted: float | None = None
        self.nearest_rejected: float | None = None
        self.spans = SpanFinder(rule.reference_distance, roles)
        self._accepted_sum = 0.0
        self._rule = rule
        self._role_names = tuple(roles or ())
        self._roles: defaultdict[str, _RoleCounter] = defaultdict(_RoleCounter)
        self._distance = distance
        self._origin = origin
        self.listeners: list[Write] = []
        self._write = write
        self._planned = 0
        self._pending: deque[_Pending] = deque()

    @property
    def faces_faded(self) -> int:
        """Number of chosen faces that the output shows unchanged."""
        return self.faces_chosen - self.faces_swapped

    @property
    def mean_accepted(self) -> float | None:
        """Mean distance of the chosen faces; None if no distance was measured."""
        if self.smallest_accepted is None:
            return None
        return self._accepted_sum / self.faces_chosen

    def plan(self, planned: Planned) -> Planned:
        """Take in a frame with its faces and chosen faces, and return it."""
        record, chosen = self.decide(planned)
        self._pending.append(_Pending(record, chosen, planned.sizes))
        return planned

    def decide(self, planned: Planned) -> tuple[FrameRecord, tuple[int, ...]]:
        """Return the record of the next frame, and the places of its chosen faces."""
        frame = planned.frame
        self._origin = frame.pts if self._origin is None else self._origin
        self._planned += 1
        place = {id(face): index for index, face in enumerate(planned.faces)}
        chosen = tuple(place[id(face)] for face in planned.chosen)
        record = FrameRecord(
            version=VERSION,
            frame=self._planned,
            pts=frame.pts,
            seconds=seconds_of(frame, self._origin),
            cut=planned.cut,
            hands=len(planned.hands),
            faces=tuple(
                self._assigned(face, assignment, chosen=index in chosen)
                for index, (face, assignment) in enumerate(
                    zip(planned.faces, planned.assignments, strict=True)
                )
            )
            if self._role_names
            else tuple(
                self._face(face, chosen=index in chosen) for index, face in enumerate(planned.faces)
            ),
        )
        return record, chosen

    def finish(self, swapped: SwappedFrame) -> Frame:
        """Take in the finished frame of the first plan that has none yet, and return it."""
        pending = self._pending.popleft()
        faces = list(pending.record.faces)
        for index, face, side in zip(pending.chosen, swapped.faces, pending.sides, strict=True):
            faces[index] = replace(faces[index], swap=SwapRecord.of(face, side))
        record = replace(pending.record, faces=tuple(faces))
        self._add(record)
        for listen in self.listeners:
            listen(record)
        return swapped.frame

    def begin_at(self, index: int, pts: int) -> None:
        """Begin with a later frame than the first, whose index is 0 and whose pts is `pts`."""
        self._origin = pts if self._origin is None else self._origin
        self._planned = index

    def restore(self, record: FrameRecord, pts: int) -> None:
        """Take in the record of a frame that an earlier run finished.

        `pts` is that of the first frame.
        """
        self._origin = pts if self._origin is None else self._origin
        self._planned += 1
        self._add(record)

    def _add(self, record: FrameRecord) -> None:
        self._count(record)
        self.spans.add(record)
        self._write(record)

    def _face(self, face: Face, *, chosen: bool) -> FaceRecord:
        reason = "chosen" if chosen else rejection(face, self._rule)
        distance = None if self._distance is None else self._distance(face)
        return FaceRecord.of(face, reason, distance, chosen=chosen)

    def _assigned(self, face: Face, assignment: Assignment, *, chosen: bool) -> FaceRecord:
        name = None if assignment.role is None else self._role_names[assignment.role]
        return FaceRecord.of(face, assignment.reason, assignment.distance, chosen=chosen, role=name)

    def _count(self, record: FrameRecord) -> None:
        swaps = [face.swap for face in record.faces if face.swap is not None]
        visible = sum(swap.visible for swap in swaps)
        self.frames += 1
        self.faces_seen += len(record.faces)
        self.faces_chosen += len(swaps)
        self.faces_swapped += visible
        self.frames_with_swap += bool(visible)
        for face in record.faces:
            if face.distance is not None and not self._role_names:
                self._count_distance(face.distance, accepted=face.chosen)
        for name in {face.role for face in record.faces if face.role is not None}:
            distances = [face.distance for face in record.faces if face.role == name]
            self._roles[name].add(record.seconds, distances)

    @property
    def by_cast(self) -> bool:
        """True if a cast gives faces their roles."""
        return bool(self._role_names)

    def roles(self, cast: Cast | None) -> tuple[RoleResult, ...]:
        """Return the results of a cast's roles."""
        roles = () if cast is None else cast.role
        return tuple(self._roles[role.name].result(role.name, keeps=role.keep) for role in roles)

    def _count_distance(self, distance: float, *, accepted: bool) -> None:
        if accepted:
            self._accepted_sum += distance
            self.smallest_accepted = _minimum(self.smallest_accepted, distance)
        else:
            self.nearest_rejected = _minimum(self.nearest_rejected, distance)


@dataclass(slots=True)
class _RoleCounter:
    """Counts the faces of one role; times are in seconds."""

    faces: int = 0
    frames: int = 0
    first: float | None = None
    last: float | None = None
    distances: int = 0
    smallest: float | None = None
    total: float = 0.0

    def add(self, seconds: float, distances: Sequence[float | None]) -> None:
        """Count the faces of a frame, one for each distance, None where none was measured."""
        self.frames += 1
        self.faces += len(distances)
        self.first = seconds if self.first is None else self.first
        self.last = seconds
        for apart in distances:
            if apart is not None:
                self.distances += 1
                self.smallest = _minimum(self.smallest, apart)
                self.total += apart

    def result(self, name: str, *, keeps: bool) -> RoleResult:
        """Return the counts as an entry of the report."""
        return RoleResult(
            name,
            keeps,
            self.faces,
            self.frames,
            self.first,
            self.last,
            self.smallest,
            self.total / self.distances if self.distances else None,
        )


def _minimum(known: float | None, new: float) -> float:
    return new if known is None else min(known, new)
