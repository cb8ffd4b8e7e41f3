"""Plan the frames of a swap: which faces get which source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from engine.options import SelectionRule
from engine.plan.decide import Casting, decide
from engine.selection import choose_faces, nearest_distance
from engine.values import Analysed, DistanceScale, Embedding, Face, Planned


class Planner(Protocol):
    """Chooses the faces of a frame that are swapped, and their roles."""

    def plan(self, shot: Analysed) -> Planned:
        """Return the frame with its chosen faces."""
        ...

    def choose(self, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        """Return the faces of a frame that may be chosen; hands are looked for near these."""
        ...

    @property
    def distance(self) -> Callable[[Face], float] | None:
        """The distance of a face to the reference; None without one."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RulePlanner:
    """Chooses faces by a rule; all get the first role."""

    rule: SelectionRule
    references: tuple[Embedding, ...]
    scale: DistanceScale

    def plan(self, shot: Analysed) -> Planned:
        """Return the frame with its chosen faces."""
        return Planned(shot.frame, shot.faces, self.choose(shot.faces), shot.hands, cut=shot.cut)

    def choose(self, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        """Return the faces that are chosen."""
        return choose_faces(faces, self.rule, self.references, self.scale)

    @property
    def distance(self) -> Callable[[Face], float] | None:
        """The distance of a face to the nearest reference; None without one."""
        if not self.references:
            return None
        return partial(nearest_distance, references=self.references, scale=self.scale)


@dataclass(frozen=True, slots=True, eq=False)
class CastPlanner:
    """Gives faces the roles of a cast; `drawn` are the roles that have a source."""

    casting: Casting
    drawn: frozenset[int]

    def plan(self, shot: Analysed) -> Planned:
        """Return the frame with the faces whose role has a source."""
        assignments = decide(shot.faces, shot.frame.pts, self.casting)
        chosen = [
            (face, one.role)
            for face, one in zip(shot.faces, assignments, strict=True)
            if one.role in self.drawn
        ]
        return Planned(
            shot.frame,
            shot.faces,
            tuple(face for face, _ in chosen),
            shot.hands,
            cut=shot.cut,
            roles=tuple(role for _, role in chosen if role is not None),
            assignments=assignments,
        )

    def choose(self, faces: tuple[Face, ...]) -> tuple[Face, ...]:
        """Return the faces that may be chosen, in some frame of the film."""
        assignments = decide(faces, 0, replace(self.casting, spans=()))
        # Corrections that give a source at some time.
        spans = [
            replace(span, first=None, last=None)
            for span in self.casting.spans
            if span.role in self.drawn
        ]
        return tuple(
            face
            for face, one in zip(faces, assignments, strict=True)
            if one.role in self.drawn or any(span.holds(face, one, 0) for span in spans)
        )

    @property
    def distance(self) -> None:
        """None: the assignments hold the distances."""
