"""Find the people of a cast in the target, and what is decided before its frames are swapped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from engine.analysis.film_analysis import FilmAnalysis, Track
from engine.analysis.people import Person
from engine.errors import NoFaceFound, ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.faces.association import pair_boxes
from engine.media.decode import read_frame, read_frames, read_image
from engine.options import SelectionRule, Trim
from engine.parameters import parse_seconds
from engine.pipeline.missed_faces import MissedFace
from engine.pipeline.records import clock
from engine.pipeline.remarks import note_first_picture, note_several_faces, rotated_remedy
from engine.pipeline.report import Reference
from engine.pipeline.tools import Request, Tools
from engine.plan.cast import KEEP, MAX_ROLES, Cast, Correction, Moment, Role, validate
from engine.plan.decide import Casting, KnownPerson, Span, match_roles
from engine.plan.film_plan import VERSION, Plan, TrackRow
from engine.selection import describe, find_reference_face, require_embedding, sort_faces
from engine.values import Assignment, Attributes, Box, DistanceScale, Embedding, Face, Frame

_ORDER: Final = SelectionRule().order
_HALF_STEP: Final = 0.0005  # seconds: times are written in thousandths


@dataclass(frozen=True, slots=True, eq=False)
class FoundCast:
    """A cast whose people are found, with entries and notes for the report."""

    casting: Casting
    entries: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()
    missed: tuple[MissedFace, ...] = ()


def needs_analysis(cast: Cast) -> bool:
    """Tell whether a cast names tracks, people or frames that an analysis of the film numbers."""
    return isinstance(cast, Plan) or bool(cast.correction) or any(role.person for role in cast.role)


def find_cast(
    target: Path,
    cast: Cast,
    analyser: FaceAnalyser,
    scale: DistanceScale,
    limit: float,
    *,
    analysis: FilmAnalysis | None = None,
    people: Sequence[Person] = (),
) -> FoundCast:
    """Find the people of the roles, and decide what can be decided before the frames are seen.

    With an analysis each track gets its role as a whole.

    Args:
        target: the video or picture.
        cast: the roles and corrections.
        analyser: finds reference faces, with embeddings.
        scale: distance scale of its embedder.
        limit: greatest distance of a match, for roles that name none.
        analysis: the faces of the target, where it was analysed.
        people: the people of the analysis.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: A picture or a frame does not show the person of a role.
        ParameterError: There is no such frame, track or person.
    """
    if isinstance(cast, Plan):
        if analysis is None:
            raise ValueError("A plan names tracks, which an analysis numbers.")
        return _find_plan(cast, scale, _Film(analysis, people))
    finder = _Finder(target, analyser)
    known = tuple(
        KnownPerson(
            finder.embeddings(number, role), limit if role.distance is None else role.distance
        )
        for number, role in enumerate(cast.role)
    )
    entries, notes = tuple(finder.entries), tuple(finder.notes)
    if analysis is None:
        return FoundCast(Casting(known, scale, {}), entries, notes)
    film = _Film(analysis, people)
    pointed = {
        number: track
        for number, (pts, box) in finder.pointed.items()
        if (track := film.track_at(pts, box)) is not None
    }
    known = tuple(
        _with_track(one, pointed[number]) if number in pointed else one
        for number, one in enumerate(known)
    )
    tracks = film.decide_tracks(cast, known, pointed, scale)
    casting = Casting(known, scale, {**tracks, **_missed_roles(cast)}, film.spans(cast))
    return FoundCast(casting, entries, notes, film.missed(cast))


def _with_track(person: KnownPerson, track: Track) -> KnownPerson:
    """Return a person with what was gathered over a track of theirs."""
    if track.embedding is None:
        return person
    return replace(person, embeddings=(*person.embeddings, track.embedding))


def _find_plan(plan: Plan, scale: DistanceScale, film: _Film) -> FoundCast:
    """Return what a plan decides on the tracks of its film.

    Raises:
        ParameterError: The analysis numbers other tracks than the plan.
    """
    spans = {
        track.number: (
            clock(film.analysis.seconds(track.first)),
            clock(film.analysis.seconds(track.last)),
        )
        for track in film.analysis.tracks
    }
    for number, row in plan.rows.items():
        seen = spans.get(number)
        if seen != (row.start, row.to):
            found = "there is none" if seen is None else f"it is seen from {seen[0]} to {seen[1]}"
            raise ParameterError(
                f"tracks, {number} of the plan is seen from {row.start} to {row.to}, but in the "
                f"analysis {found}: other networks or parameters found the faces. Give the "
                "analysis that the plan was made of, or make the plan again with --cast PLAN."
            )
    tracks = {
        number: Assignment(
            plan.number(plan.rows[number].role) if number in plan.rows else None,
            "plan",
            plan.rows[number].distance if number in plan.rows else None,
        )
        for number in spans
    }
    corrected = {**film.corrected_tracks(plan), **_missed_roles(plan)}
    people = tuple(KnownPerson((), 0.0) for _ in plan.role)
    casting = Casting(people, scale, {**tracks, **corrected}, film.spans(plan))
    return FoundCast(casting, missed=film.missed(plan))


def make_plan(request: Request, tools: Tools, parameters: Mapping[str, Any]) -> Plan:
    """Return the plan of a request, whose target is analysed.

    Without a cast each person of the film gets a role that is kept. `parameters` are kept in the
    plan.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: The film shows no face, or a reference does not show the person of a role.
        ParameterError: There is no such frame, track or person.
    """
    analysis = tools.analysis
    if analysis is None:
        raise ValueError("A plan is made of a film that is analysed.")
    cast = request.cast or _everybody(request.target, tools.people)
    found = find_cast(
        request.target,
        cast,
        tools.reference_analyser,
        tools.scale,
        request.options.selection.reference_distance,
        analysis=analysis,
        people=tools.people,
    )
    values = {
        "role": cast.role,
        "correction": cast.correction,
        "version": VERSION,
        "film": str(request.target),
        "sha256": analysis.key.target,
        "parameters": dict(parameters),
        "tracks": _rows(analysis, cast, found.casting.tracks),
    }
    return validate(values, Plan, "plan")


def _everybody(target: Path, people: Sequence[Person]) -> Cast:
    """Return a cast of the people of a film, all kept."""
    if not people:
        raise NoFaceFound(f"No face was found in {target}, so there is nobody to plan for.")
    roles = [
        Role(name=f"person {person.number}", keep=True, person=(person.number,))
        for person in people[:MAX_ROLES]
    ]
    return Cast(role=tuple(roles))


def _rows(
    analysis: FilmAnalysis, cast: Cast, tracks: Mapping[int, Assignment]
) -> dict[str, TrackRow]:
    """Return the decision on each track of an analysed film."""
    names = cast.names
    return {
        str(track.number): TrackRow.model_validate(
            {
                "role": KEEP if one.role is None else names[one.role],
                "from": clock(analysis.seconds(track.first)),
                "to": clock(analysis.seconds(track.last)),
                "distance": None if one.distance is None else max(round(one.distance, 3), 0.0),
                "reason": one.reason,
            }
        )
        for track in analysis.tracks
        for one in (tracks[track.number],)
    }


@contextmanager
def _naming_correction(index: int) -> Iterator[None]:
    """Begin an error of the block with the number of a correction, counted from 1."""
    try:
        yield
    except ParameterError as error:
        raise ParameterError(f"correction {index + 1}: {error}") from None


def _missed_track(index: int) -> int:
    """Return the track that faces of a correction get: below those of the film."""
    return -1 - index


def _missed_roles(cast: Cast) -> dict[int, Assignment]:
    """Return the roles of the faces that corrections name by a box, by their tracks."""
    return {
        _missed_track(index): Assignment(cast.number(one.role), "correction")
        for index, one in enumerate(cast.correction)
        if one.box is not None
    }


def _is_on_tracks(correction: Correction) -> bool:
    """Tell whether a correction is about whole tracks."""
    whole = correction.start is None and correction.to is None
    return whole and bool(correction.track or correction.person)


@dataclass(frozen=True, slots=True, eq=False)
class _Finder:
    """Finds the reference faces of roles; `pointed` are pts and box of those in a frame."""

    target: Path
    analyser: FaceAnalyser
    entries: list[Reference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pointed: dict[int, tuple[int, Box]] = field(default_factory=dict)

    def embeddings(self, number: int, role: Role) -> tuple[Embedding, ...]:
        """Return the embeddings of a role's reference faces; none if it is named by number."""
        if role.frame is not None:
            pts, where, face = self._face_in_frame(role, role.frame)
            self.pointed[number] = pts, face.box
            return (self._add(where, face),)
        return tuple(self._add(*self._face_in_picture(role, Path(one))) for one in role.reference)

    def _add(self, where: str, face: Face) -> Embedding:
        read = face.attributes or Attributes()
        self.entries.append(Reference(where, face.box, face.score, read))
        return require_embedding(face)

    def _face_in_picture(self, role: Role, path: Path) -> tuple[str, Face]:
        faces = self.analyser.analyse_picture(read_image(path, warn=self.notes.append))
        face = find_reference_face(
            faces,
            SelectionRule(),
            where=f"reference {path} of the role {role.name}",
            rotated=rotated_remedy(self.analyser.options),
        )
        self.notes.extend(note_first_picture(path))
        self.notes.extend(map(str, note_several_faces(path, face, faces, "the one taken is")))
        return str(path), face

    def _face_in_frame(self, role: Role, moment: Moment) -> tuple[int, str, Face]:
        frame = _read(self.target, moment)
        where = f"frame {moment} of {self.target}"
        faces = sort_faces(self.analyser.analyse_picture(frame), _ORDER)
        if role.point is not None:
            x, y = role.point
            hit = [
                f for f in faces if f.box.left <= x < f.box.right and f.box.top <= y < f.box.bottom
            ]
            wanted, place = f"point {x:g}, {y:g}", 0
        else:
            hit, place = list(faces), role.position or 0
            wanted = f"position {place}"
        if place >= len(hit):
            listing = "; ".join(f"{index}: {describe(face)}" for index, face in enumerate(faces))
            raise NoFaceFound(
                f"The role {role.name} is at {wanted} in {where}, and no face is there; found: "
                f"{listing or 'no face'}."
            )
        return frame.pts, where, hit[place]


def _read(target: Path, moment: Moment) -> Frame:
    """Return a frame of the target by its number or time.

    Raises:
        ParameterError: The target has no such frame.
    """
    if isinstance(moment, int):
        return read_frame(target, moment)
    start = max(_seconds(moment) - _HALF_STEP, 0.0)
    with closing(read_frames(target, Trim(start=start))) as frames:
        frame = next(frames, None)
    if frame is None:
        raise ParameterError(f"{target} ends before {moment}, the frame that a role names.")
    return frame


def _seconds(time: str) -> float:
    seconds = parse_seconds(time)
    assert isinstance(seconds, float)
    return seconds


@dataclass(frozen=True, slots=True, eq=False)
class _Film:
    """An analysed film, in the words of a cast."""

    analysis: FilmAnalysis
    people: Sequence[Person]

    def decide_tracks(
        self,
        cast: Cast,
        known: Sequence[KnownPerson],
        pointed: Mapping[int, Track],
        scale: DistanceScale,
    ) -> Mapping[int, Assignment]:
        """Decide the role of each track; `pointed` are those that roles name in a frame."""
        standing: dict[int, Assignment] = {}
        for number, role in enumerate(cast.role):
            named = [pointed[number].number] if number in pointed else []
            for track in (*named, *self._tracks((), role.person)):
                if track in standing:
                    raise ParameterError(
                        f"The role {role.name} names a person of another role, too; name each "
                        "person in one role."
                    )
                standing[track] = Assignment(number, "person")
        standing |= self.corrected_tracks(cast)
        tracks = self.analysis.tracks
        together = self.analysis.together

        def seen_together(one: int, other: int) -> bool:
            first, second = sorted((tracks[one].number, tracks[other].number))
            return (first, second) in together

        decisions = match_roles(
            [track.embedding for track in tracks],
            known,
            {i: standing[t.number] for i, t in enumerate(tracks) if t.number in standing},
            seen_together,
            scale,
        )
        return {track.number: one for track, one in zip(tracks, decisions, strict=True)}

    def track_at(self, pts: int, box: Box) -> Track | None:
        """Return the track of the face in a frame that has a box; None if it was not found."""
        frame = next((one for one in self.analysis.frames() if one.pts >= pts), None)
        if frame is None or frame.pts != pts:
            return None
        pairs = pair_boxes([box], [face.box for face in frame.faces])
        numbers = [frame.faces[index].track for _, index in pairs]
        return next((one for one in self.analysis.tracks if one.number in numbers), None)

    def corrected_tracks(self, cast: Cast) -> Mapping[int, Assignment]:
        """Return the tracks that corrections give a role as a whole."""
        corrected: dict[int, Assignment] = {}
        for index, one in enumerate(cast.correction):
            if _is_on_tracks(one):
                given = Assignment(cast.number(one.role), "correction")
                with _naming_correction(index):
                    corrected |= dict.fromkeys(self._tracks(one.track, one.person), given)
        return corrected

    def spans(self, cast: Cast) -> tuple[Span, ...]:
        """Return the corrections by pts and track numbers."""
        found = []
        for index, one in enumerate(cast.correction):
            with _naming_correction(index):
                missed = Span(cast.number(one.role), tracks=frozenset({_missed_track(index)}))
                found.append(self._span(cast, one) if one.box is None else missed)
        return tuple(found)

    def missed(self, cast: Cast) -> tuple[MissedFace, ...]:
        """Return the faces that corrections name by a box."""
        found = []
        for index, one in enumerate(cast.correction):
            if one.box is None or one.start is None:
                continue
            with _naming_correction(index):
                first = self._frame_at(one.start)
                last = first if one.to is None else self._pts(one.to, last=True)
            where = f"correction {index + 1}"
            found.append(MissedFace(_missed_track(index), where, Box(*one.box), first, last))
        return tuple(found)

    def _frame_at(self, moment: Moment) -> int:
        """Return the pts of the frame of a moment, or of the next one.

        Raises:
            ParameterError: The film ends before.
        """
        pts = self._pts(moment, last=False)
        found = next((one.pts for one in self.analysis.frames() if one.pts >= pts), None)
        if found is None:
            raise ParameterError(f"from is {moment}, and the film ends before.")
        return found

    def _span(self, cast: Cast, correction: Correction) -> Span:
        """Return a correction by pts and track numbers."""
        on_tracks = correction.track or correction.person
        return Span(
            cast.number(correction.role),
            None if correction.start is None else self._pts(correction.start, last=False),
            None if correction.to is None else self._pts(correction.to, last=True),
            frozenset(self._tracks(correction.track, correction.person)) if on_tracks else None,
            None if correction.of is None else cast.number(correction.of),
        )

    def _tracks(self, tracks: Iterable[int], people: Iterable[int]) -> list[int]:
        """Return numbers of tracks, and those of people's tracks.

        Raises:
            ParameterError: There is none of that number.
        """
        known = {track.number for track in self.analysis.tracks}
        for number in tracks:
            if number not in known:
                raise ParameterError(
                    f"track is {number}, and the film has {len(known)} tracks, counted from 0."
                )
        for number in people:
            if number >= len(self.people):
                raise ParameterError(
                    f"person is {number}, and the film has {len(self.people)} people, counted "
                    "from 0; `faceswap-engine people` lists them."
                )
        return [*tracks, *(t.number for number in people for t in self.people[number].tracks)]

    def _pts(self, moment: Moment, *, last: bool) -> int:
        """Return the pts of a frame by its number, or of a time.

        Raises:
            ParameterError: There is no such frame.
        """
        analysis = self.analysis
        if isinstance(moment, str):
            seconds = _seconds(moment) + (_HALF_STEP if last else -_HALF_STEP)
            return analysis.start + round(seconds / analysis.time_base)
        if moment > analysis.frame_count:
            raise ParameterError(
                f"there is no frame {moment}; the film has {analysis.frame_count} frames."
            )
        return next(one.pts for at, one in enumerate(analysis.frames(), 1) if at == moment)
