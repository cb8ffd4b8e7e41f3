"""Notes and warnings of a report, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.media.probe import is_image
from engine.options import AnalysisOptions, SwapOptions
from engine.pipeline.recorder import Recorder
from engine.pipeline.report import RoleResult, Setup
from engine.pipeline.source_views import MAX_PERSON_DISTANCE, SourceView
from engine.selection import distance
from engine.values import DistanceScale, Face

_MAX_FADED = 0.1  # share of the chosen faces that may fade without a warning


@dataclass(frozen=True, slots=True)
class Note:
    """Sentence about a file: `words` follow its path."""

    path: Path
    words: str

    def __str__(self) -> str:
        return f"{self.path} {self.words}"


def rotated_remedy(options: AnalysisOptions) -> str:
    """Return the end of advice about a picture without a face: detect rotated heads, too."""
    return "" if options.detect_rotated else ", or set detect_rotated if heads are not upright"


def note_several_faces(path: Path, face: Face, faces: Sequence[Face], taken: str) -> Iterator[Note]:
    """Note that `face` is one of several in a picture; `taken` introduces its place."""
    if len(faces) > 1:
        yield Note(
            path,
            f"shows {len(faces)} faces; {taken} {face.box.width:.0f} x "
            f"{face.box.height:.0f} pixels at {face.box.left:.0f}, {face.box.top:.0f}.",
        )


def note_first_picture(path: Path) -> Iterator[str]:
    """Note that a video was given where a picture is expected."""
    if not is_image(path):
        yield f"{path} is a video; its first picture is taken."


def warn_of_other_people(views: Sequence[SourceView], scale: DistanceScale) -> Iterator[str]:
    """Warn of each further source file that may show another person than the first.

    `scale` is that of the embedder of the views' faces. Faces without embeddings are skipped.
    """
    first, *others = [view for view in views if view.leads]
    own = first.portrait.face.embedding
    for view in others:
        other = view.portrait.face.embedding
        if own is None or other is None:
            continue
        apart = distance(own, other, scale)
        if apart > MAX_PERSON_DISTANCE:
            yield (
                f"{view.field} {view.path} may show another person than the source: it is at a "
                f"distance of {apart:.2f}, and all pictures of the source should show one."
            )


def warn_of_faults(views: Sequence[SourceView]) -> Iterator[str]:
    """Warn of the faults of each source file's best view."""
    for view in views:
        if view.leads:
            yield from (f"{view.where} {fault.words}; {fault.remedy}." for fault in view.faults)


def warn_of_result(record: Recorder, options: SwapOptions, setup: Setup) -> Iterator[str]:
    """Warn if no face was chosen, or if many of the chosen faces are unchanged in the output."""
    if not record.faces_chosen:
        yield _no_face_chosen(record, options)
    elif record.faces_faded > _MAX_FADED * record.faces_chosen:
        yield _faces_faded(record, setup)


def warn_of_roles(roles: Sequence[RoleResult]) -> Iterator[str]:
    """Warn of each role of a cast that no face got."""
    for role in roles:
        if not role.faces:
            yield (
                f"No face got the role {role.name}; see that its person is in the target, or "
                "raise its distance."
            )


def _no_face_chosen(record: Recorder, options: SwapOptions) -> str:
    frames = "the picture" if record.frames == 1 else f"any of the {record.frames} frames"
    if not record.faces_seen:
        remedy = rotated_remedy(options.analysis)
        return f"No face was swapped: none was found in {frames}; choose another target{remedy}."
    if record.nearest_rejected is not None:
        return (
            f"No face was swapped: the nearest in {frames} is at a distance of "
            f"{record.nearest_rejected:.2f} to the reference, and reference_face_distance is "
            f"{options.selection.reference_distance:g}."
        )
    if record.by_cast:
        return f"No face was swapped: none in {frames} got a role that has a source."
    return f"No face was swapped: none in {frames} passes the filters."


def _faces_faded(record: Recorder, setup: Setup) -> str:
    lead = "" if record.faces_swapped else "No face was swapped: "
    limiting = [name for field, name in setup.networks.items() if field != "enhance"]
    also = f", or {' and '.join(limiting)} leaves nothing of the swap" if limiting else ""
    return (
        f"{lead}{record.faces_faded} of {record.faces_chosen} chosen faces stay as they were, as "
        f"they are turned too far from the camera for the swapper {setup.swapper.name}, their mesh "
        f"does not fit, or hands cover them{also}."
    )
