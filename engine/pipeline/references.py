"""Reference faces: who of the target is swapped in reference mode."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from engine.faces.analyser import FaceAnalyser
from engine.media.decode import read_image
from engine.options import SelectionRule
from engine.pipeline.remarks import note_first_picture, note_several_faces, rotated_remedy
from engine.pipeline.report import Reference
from engine.selection import find_reference_face, require_embedding
from engine.values import Attributes, Embedding, Face, Frame

_OTHER_FRAME = (
    "choose a frame that shows the person with reference_frame_number, or a picture that does with "
    "reference_image"
)
_OTHER_TARGET = "choose another target"
_OTHER_PICTURE = "choose a picture that shows the person"


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """Reference faces of a request: embeddings, entries of the report, and notes.

    `frame_faces` are all faces of the reference frame; None if it was not looked at.
    """

    embeddings: tuple[Embedding, ...] = ()
    entries: tuple[Reference, ...] = ()
    notes: tuple[str, ...] = ()
    frame_faces: tuple[Face, ...] | None = None


def find_references(
    target: Path,
    rule: SelectionRule,
    analyser: FaceAnalyser,
    read: Callable[[int], Frame],
    *,
    still: bool,
) -> References:
    """Find the reference face in each reference picture, or else in the reference frame.

    Order, filters and position of the rule choose among the faces of a picture or frame. `read`
    returns a frame of the target by its number; `target` names it. `still` is True for a picture.

    Raises:
        MediaError: A file cannot be read.
        NoFaceFound: A picture shows no face, or the frame shows none that passes the filters.
        ParameterError: The target has no such frame.
    """
    if rule.mode != "reference":
        return References()
    rotated = rotated_remedy(analyser.options)
    if not rule.reference_images:
        number = rule.reference_frame
        frame = read(number)
        where = f"frame {number} of {target}"
        faces = analyser.analyse_picture(frame)
        face = find_reference_face(
            faces,
            rule,
            where=where,
            elsewhere=_OTHER_TARGET if still else _OTHER_FRAME,
            rotated=rotated,
        )
        return References((require_embedding(face),), (_entry(where, face),), frame_faces=faces)
    found: list[Face] = []
    notes: list[str] = []
    for path in rule.reference_images:
        faces = analyser.analyse_picture(read_image(path, warn=notes.append))
        face = find_reference_face(
            faces,
            rule,
            where=f"reference_image {path}",
            elsewhere=_OTHER_PICTURE,
            rotated=rotated,
        )
        found.append(face)
        notes += note_first_picture(path)
        notes += map(str, note_several_faces(path, face, faces, "the one taken is"))
    return References(
        tuple(map(require_embedding, found)),
        tuple(map(_entry, map(str, rule.reference_images), found)),
        tuple(notes),
    )


def _entry(where: str, face: Face) -> Reference:
    return Reference(where, face.box, face.score, face.attributes or Attributes())
