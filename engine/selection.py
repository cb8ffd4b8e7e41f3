"""Choose the faces of a frame that are swapped: pure functions of faces and a rule.

In reference mode, a selection has two steps. First, a reference frame's faces are sorted and
filtered, and a position among them names a person. Then `choose_faces` finds this person in each
frame by the embedding alone, so that the person is not lost when an estimated age changes, or when
the person walks to the other side.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from engine.errors import NoFaceFound
from engine.options import SelectionRule, SelectorOrder
from engine.values import Attributes, DistanceScale, Embedding, Face

Need: TypeAlias = Literal["embedding", "age", "gender", "race"]
# Why a face of a frame is swapped or not.
Decision: TypeAlias = Literal[
    "chosen", "too far", "filtered: gender", "filtered: race", "filtered: age", "not first"
]
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
    """Sort faces by the box's left or top edge, its area, or the detector's score.

    The sort is stable in either direction.
    """
    key, descending = _KEYS[order]
    return tuple(sorted(faces, key=key, reverse=descending))


def filter_faces(faces: Iterable[Face], rule: SelectionRule) -> tuple[Face, ...]:
    """Return the faces of the rule's gender, race and age, in their order.

    The age interval includes both bounds.

    Raises:
        ValueError: A face lacks an attribute that a filter needs; see `needs`.
    """
    return tuple(face for face in faces if _failed_filter(face, rule) is None)


def find_reference_face(
    faces: Iterable[Face],
    rule: SelectionRule,
    *,
    where: str = "the reference frame",
    elsewhere: str = "choose another picture",
    rotated: str = "",
) -> Face:
    """Return the face at the rule's position among the sorted, filtered faces.

    Args:
        faces: Faces of one picture.
        rule: Order, filters and position.
        where: Name of the picture, for errors.
        elsewhere: Advice on other pictures, for errors.
        rotated: End of the advice when no face was found.

    Raises:
        NoFaceFound: No face is left, or the position is past the last; the message lists the faces.
    """
    found = sort_faces(faces, rule.order)
    candidates = filter_faces(found, rule)
    if rule.reference_position < len(candidates):
        return candidates[rule.reference_position]
    if not found:
        raise NoFaceFound(f"No face was found in {where}; {elsewhere}{rotated}.")
    if not candidates:
        raise NoFaceFound(
            f"Of {_count_faces(found)} in {where} none passes the filters "
            f"({_describe_filters(rule)}): "
            f"{'; '.join(map(describe, found))}. "
            f"Loosen the filters, or {elsewhere}."
        )
    listing = "; ".join(f"{index}: {describe(face)}" for index, face in enumerate(candidates))
    raise NoFaceFound(
        f"reference_face_position is {rule.reference_position}, but {where} offers "
        f"{_count_faces(candidates)}, counted from 0 "
        f"({rule.order}; {_describe_filters(rule)}): {listing}."
    )


def distance(first: Embedding, second: Embedding, scale: DistanceScale = _REFERENCE_SCALE) -> float:
    """Return 1 - cosine of two unit embeddings: 0 for equal, 1 for unrelated, 2 for opposite.

    `scale` is that of their embedder: it maps the cosine to the reference scale, so that distances
    of different embedders have the same meaning.

    Raises:
        ValueError: Their lengths differ, so they are of different networks.
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
    """Return the smallest distance from a face to the references, on the reference scale.

    Raises:
        ValueError: The face has no embedding, or there are no references.
    """
    embedding = require_embedding(face)
    if not references:
        raise ValueError("There is no reference to compare a face with.")
    return min(distance(embedding, reference, scale) for reference in references)


def choose_faces(
    faces: Iterable[Face],
    rule: SelectionRule,
    references: Sequence[Embedding] = (),
    scale: DistanceScale = _REFERENCE_SCALE,
) -> tuple[Face, ...]:
    """Return the faces of one frame that are swapped.

    Mode `many`: all that pass the filters, sorted. Mode `one`: the first of these. Mode
    `reference`: every face within the rule's distance of any reference, in the given order.
    """
    if rule.mode == "reference":
        limit = rule.reference_distance
        return tuple(face for face in faces if nearest_distance(face, references, scale) <= limit)
    candidates = filter_faces(sort_faces(faces, rule.order), rule)
    return candidates if rule.mode == "many" else candidates[:1]


def rejection(face: Face, rule: SelectionRule) -> Decision:
    """Return why `choose_faces` left out a face."""
    if rule.mode == "reference":
        return "too far"
    return _failed_filter(face, rule) or "not first"


def needs(rule: SelectionRule) -> frozenset[Need]:
    """Return what the analyser must read for a rule, including its reference frame."""
    return frame_needs(rule) | _filter_needs(rule)


def frame_needs(rule: SelectionRule) -> frozenset[Need]:
    """Return what the analyser must read in each frame: the embedding only in reference mode."""
    return frozenset({"embedding"}) if rule.mode == "reference" else _filter_needs(rule)


def describe(face: Face) -> str:
    """Describe a face in a few words: box, score and attributes."""
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


def _failed_filter(face: Face, rule: SelectionRule) -> Decision | None:
    """Return the first filter that a face does not pass; None if it passes all."""
    read = face.attributes or Attributes()
    if rule.gender is not None and _require_attribute(read.gender, "gender") != rule.gender:
        return "filtered: gender"
    if rule.race is not None and _require_attribute(read.race, "race") != rule.race:
        return "filtered: race"
    if rule.wants_age and not (
        rule.age_start <= _require_attribute(read.age, "age") <= rule.age_end
    ):
        return "filtered: age"
    return None


def _require_attribute(value: AttributeT | None, name: str) -> AttributeT:
    if value is None:
        raise ValueError(
            f"A face has no {name}, which a filter needs; analyse it with needs(rule)."
        )
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
