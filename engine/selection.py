"""Which faces of a frame are swapped: pure functions of faces and a rule.

A selection has two moments. A *reference* is read once: the ordered, filtered faces of one frame
and a position among them name a person. Then each frame is asked: `choose` answers with the faces
to swap. In reference mode order and filters name the person and nothing else, so that a person
who is once read as older, or who walks to the other side, is not lost in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from engine.errors import NoFaceFound
from engine.options import SelectionRule, SelectorOrder
from engine.values import Attributes, DistanceScale, Embedding, Face

Need: TypeAlias = Literal["embedding", "age", "gender", "race"]
AttributeT = TypeVar("AttributeT")

_REFERENCE_SCALE = DistanceScale()

_KEYS: dict[SelectorOrder, tuple[Callable[[Face], float], bool]] = {
    "left-right": (lambda face: face.box.left, False),
    "right-left": (lambda face: face.box.left, True),
    "top-bottom": (lambda face: face.box.top, False),
    "bottom-top": (lambda face: face.box.top, True),
    "small-large": (lambda face: face.box.area, False),
    "large-small": (lambda face: face.box.area, True),
    "worst-best": (lambda face: face.score, False),
    "best-worst": (lambda face: face.score, True),
}


def sort_faces(faces: Iterable[Face], order: SelectorOrder) -> tuple[Face, ...]:
    """Faces by the box's left or top edge, by its area, or by the detector's score.

    Faces that tie keep their order, whichever the direction.
    """
    key, descending = _KEYS[order]
    return tuple(sorted(faces, key=key, reverse=descending))


def filter_faces(faces: Iterable[Face], rule: SelectionRule) -> tuple[Face, ...]:
    """The faces of the rule's gender, race and age, in the order they came.

    Both bounds of the age belong to the interval.

    Raises:
        ValueError: A filter asks for what was not read off a face; plan with `needs`.
    """
    return tuple(face for face in faces if _passes_filters(face, rule))


def find_reference_face(
    faces: Iterable[Face], rule: SelectionRule, *, where: str = "the reference frame"
) -> Face:
    """The face that a reference frame names: its faces ordered, filtered, and counted to.

    `where` says in an error which picture was looked at.

    Raises:
        NoFaceFound: None is left, or the position lies past the last; what was found is listed.
    """
    found = sort_faces(faces, rule.order)
    candidates = filter_faces(found, rule)
    if rule.reference_position < len(candidates):
        return candidates[rule.reference_position]
    if not found:
        raise NoFaceFound(
            f"No face was found in {where}; choose a frame that shows the person with "
            "reference_frame_number, or a picture that does with reference_image."
        )
    if not candidates:
        raise NoFaceFound(
            f"Of {_count_faces(found)} in {where} none passes the filters "
            f"({_describe_filters(rule)}): "
            f"{'; '.join(map(describe, found))}. "
            "Loosen the filters, or choose another frame with reference_frame_number or another "
            "picture with reference_image."
        )
    listing = "; ".join(f"{index}: {describe(face)}" for index, face in enumerate(candidates))
    raise NoFaceFound(
        f"reference_face_position is {rule.reference_position}, but {where} offers "
        f"{_count_faces(candidates)}, counted from 0 "
        f"({rule.order}; {_describe_filters(rule)}): {listing}."
    )


def distance(first: Embedding, second: Embedding, scale: DistanceScale = _REFERENCE_SCALE) -> float:
    """1 - cosine of two unit embeddings: 0 for the same, 1 for unrelated, 2 for opposite.

    `calibration` is their embedder's: the cosine is read on the reference scale, so that a distance
    means the same whichever embedder measured it.

    Raises:
        ValueError: Their lengths differ, so two different networks made them.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"An embedding of length {first.size} cannot be compared with one of length "
            f"{second.size}: two different recognition networks made them."
        )
    cosine = float(np.dot(first.astype(np.float64), second.astype(np.float64)))
    return 1.0 - scale.reference(cosine)


def require_embedding(face: Face) -> Embedding:
    """Return the embedding of a face.

    Raises:
        ValueError: The face has none.
    """
    if face.embedding is None:
        raise ValueError("This face has no embedding; analyse it with an embedder.")
    return face.embedding


def nearest_distance(
    face: Face, references: Sequence[Embedding], scale: DistanceScale = _REFERENCE_SCALE
) -> float:
    """The smallest distance from a face to any of the references, by their embedder's scale.

    Raises:
        ValueError: The face has no embedding, or there are no references.
    """
    if face.embedding is None:
        raise ValueError("This face has no embedding to compare; plan with needs(rule).")
    if not references:
        raise ValueError("There is no reference to compare a face with.")
    return min(distance(face.embedding, reference, scale) for reference in references)


def choose_faces(
    faces: Iterable[Face],
    rule: SelectionRule,
    references: Sequence[Embedding] = (),
    scale: DistanceScale = _REFERENCE_SCALE,
) -> tuple[Face, ...]:
    """The faces of one frame that are swapped.

    Mode `many`: all that pass the filters, in order. Mode `one`: the first of these. Mode
    `reference`: every face within the rule's distance of any reference, in the order they came.
    """
    if rule.mode == "reference":
        limit = rule.reference_distance
        return tuple(face for face in faces if nearest_distance(face, references, scale) <= limit)
    candidates = filter_faces(sort_faces(faces, rule.order), rule)
    return candidates if rule.mode == "many" else candidates[:1]


def needs(rule: SelectionRule) -> frozenset[Need]:
    """What must be read off faces for the rule to be applied, reference frame included."""
    return frame_needs(rule) | _filter_needs(rule)


def frame_needs(rule: SelectionRule) -> frozenset[Need]:
    """What must be read off the faces of each frame: in reference mode, only who they are."""
    return frozenset({"embedding"}) if rule.mode == "reference" else _filter_needs(rule)


def describe(face: Face) -> str:
    """A face in a few words: box, score, and what was read off it."""
    box = face.box
    words = [
        f"box {box.left:.0f},{box.top:.0f} to {box.right:.0f},{box.bottom:.0f}",
        f"score {face.score:.2f}",
    ]
    attributes = face.attributes or Attributes()
    if attributes.gender is not None:
        words.append(attributes.gender)
    if attributes.age is not None:
        words.append(f"age {attributes.age}")
    if attributes.race is not None:
        words.append(attributes.race)
    return ", ".join(words)


def _passes_filters(face: Face, rule: SelectionRule) -> bool:
    read = face.attributes or Attributes()
    if rule.gender is not None and _require_attribute(read.gender, "gender") != rule.gender:
        return False
    if rule.race is not None and _require_attribute(read.race, "race") != rule.race:
        return False
    return (
        not rule.wants_age or rule.age_start <= _require_attribute(read.age, "age") <= rule.age_end
    )


def _require_attribute(value: AttributeT | None, name: str) -> AttributeT:
    if value is None:
        raise ValueError(f"A filter on {name} needs it read off every face; plan with needs(rule).")
    return value


def _filter_needs(rule: SelectionRule) -> frozenset[Need]:
    wanted: dict[Need, bool] = {
        "age": rule.wants_age,
        "gender": rule.gender is not None,
        "race": rule.race is not None,
    }
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


def _describe_filters(rule: SelectionRule) -> str:
    words: list[str] = [word for word in (rule.gender, rule.race) if word is not None]
    if rule.wants_age:
        words.append(f"age {rule.age_start} to {rule.age_end}")
    return ", ".join(words) or "no filters"


def _count_faces(faces: Sequence[Face]) -> str:
    return "1 face" if len(faces) == 1 else f"{len(faces)} faces"
