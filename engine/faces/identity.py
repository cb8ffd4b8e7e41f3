"""Gather embeddings and attributes over the sightings of a track."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from statistics import median_low
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.faces.landmarks import alignment_points, frontalness
from engine.faces.protocols import AttributeReader, Embedder
from engine.faces.tracker import Sighting
from engine.geometry.affine import fit_similarity
from engine.geometry.templates import in_pixels
from engine.pixels.align import byte_crop
from engine.values import Attributes, Bytes, Embedding, Face, Frame

_MAX_READINGS = 9  # latest attribute readings of a track that are used
_MIN_SAME_COSINE = 0.2  # cosine to its own track, below which a clear sighting is another person
_MIN_CLEAR_WEIGHT = 0.5  # weight from which a sighting is clear
_MIN_WEIGHT = 0.02  # of the poorest sighting
_MAX_INTERVAL = 4  # longest time between two readings of a track, in units of `every`
_FULL_WEIGHT_SIZE = 112  # size of a face in pixels from which its weight no longer grows

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class IdentityReader:
    """Networks that tell who a face is: an embedder and an attribute reader, each may be None."""

    embedder: Embedder | None
    attributes: AttributeReader | None

    @property
    def idle(self) -> bool:
        return self.embedder is None and self.attributes is None

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Face]:
        """Return the faces with embedding and attributes."""
        embeddings: list[Embedding | None] = [None] * len(faces)
        attributes: list[Attributes | None] = [None] * len(faces)
        if self.embedder is not None:
            embeddings = [
                *self.embedder.embed([_embedder_crop(frame, f, self.embedder) for f in faces])
            ]
        if self.attributes is not None:
            attributes = [*self.attributes.read(frame, faces)]
        return [
            replace(face, embedding=embedding, attributes=read)
            for face, embedding, read in zip(faces, embeddings, attributes, strict=True)
        ]


@dataclass(slots=True)
class _Person:
    number: int
    seen: int
    total: NDArray[np.float32] | None = None
    readings: deque[Attributes] = field(default_factory=lambda: deque(maxlen=_MAX_READINGS))
    weight: float = 0.0
    reads: int = 0
    due: int = 0

    def differs(self, face: Face) -> bool:
        """Tell whether a clear sighting shows another person than the clear ones before."""
        mine = self.embedding
        if (
            mine is None
            or face.embedding is None
            or min(self.weight, _identity_weight(face)) < _MIN_CLEAR_WEIGHT
        ):
            return False
        return float(mine @ face.embedding) < _MIN_SAME_COSINE

    def add(self, face: Face) -> None:
        if face.embedding is not None:
            part = np.float32(_identity_weight(face)) * face.embedding
            self.total = part if self.total is None else self.total + part
            self.weight += _identity_weight(face)
        if face.attributes is not None:
            self.readings.append(face.attributes)
        self.reads += 1

    @property
    def embedding(self) -> Embedding | None:
        """Mean of the sightings' embeddings by their weights, of unit length."""
        if self.total is None:
            return None
        unit: Embedding = self.total / np.linalg.norm(self.total)
        return unit

    @property
    def attributes(self) -> Attributes | None:
        """Median age, and most common gender and race."""
        if not self.readings:
            return None
        ages = [reading.age for reading in self.readings if reading.age is not None]
        return Attributes(
            median_low(ages) if ages else None,
            _most_common([r.gender for r in self.readings if r.gender is not None]),
            _most_common([r.race for r in self.readings if r.race is not None]),
        )


def identify(
    stream: Iterable[Sighting], reader: IdentityReader, every: int, ahead: int
) -> Iterator[Sighting]:
    """Yield the sightings with each face's embedding and attributes, combined over its track.

    A track is read when it appears, and then after 1, 2, 3 and from then on 4 times `every` frames,
    on frames with detections. Sightings up to `ahead` frames later are included, so that a face
    that appears blurred or in profile is identified at once. A track that changes to another person
    goes on under a new number.
    """
    numbers = count()
    people: dict[int, _Person] = {}  # by the tracker's number
    pending: deque[tuple[Sighting, tuple[_Person, ...]]] = deque()
    for now, sighting in enumerate(stream):
        shown = []
        for face in sighting.faces:
            track = _require_track(face)
            person = people.get(track)
            if person is None:
                person = people[track] = _Person(next(numbers), now)
            if not person.reads or (sighting.detected and now >= person.due):
                (read,) = reader.read(sighting.frame, [face])
                if person.differs(read):
                    person = people[track] = _Person(next(numbers), now)
                person.add(read)
                person.due = now + every * min(person.reads, _MAX_INTERVAL)
            person.seen = now
            shown.append(person)
        people = {track: p for track, p in people.items() if now - p.seen <= ahead}
        pending.append((sighting, tuple(shown)))
        if len(pending) > ahead:
            yield _with_identities(*pending.popleft())
    while pending:
        yield _with_identities(*pending.popleft())


def _with_identities(sighting: Sighting, people: Sequence[_Person]) -> Sighting:
    faces = tuple(
        replace(face, embedding=person.embedding, attributes=person.attributes, track=person.number)
        for face, person in zip(sighting.faces, people, strict=True)
    )
    return replace(sighting, faces=faces)


def _require_track(face: Face) -> int:
    if face.track is None:
        raise ValueError("A face without a track cannot be identified; follow the faces first.")
    return face.track


def _identity_weight(face: Face) -> float:
    """Return the weight of a sighting: high if large, frontal, and with a good mesh."""
    size = float(np.sqrt(face.box.area))
    return max(
        _MIN_WEIGHT, face.mesh.score * frontalness(face.mesh) * min(size / _FULL_WEIGHT_SIZE, 1.0)
    )


def _embedder_crop(frame: Frame, face: Face, embedder: Embedder) -> Bytes:
    target = in_pixels(embedder.template, embedder.size)
    return byte_crop(frame, fit_similarity(alignment_points(face), target), embedder.size)


def _most_common(values: Sequence[Value]) -> Value | None:
    return Counter(values).most_common(1)[0][0] if values else None
