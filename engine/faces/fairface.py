"""The FairFace network for race, gender and age, and readers composed of others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from engine.faces.landmarks import alignment_points
from engine.faces.protocols import AttributeReader
from engine.geometry.affine import fit_similarity
from engine.geometry.templates import ARCFACE_112_V2, in_pixels
from engine.options import Gender, Race
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Attributes, Bytes, Face, Frame
from engine.weights.manifest import InputSpec

# Classes of Kärkkäinen and Joo: "FairFace", 2021, in the network's order. East and Southeast Asian
# are one value of the public parameter.
_RACES: tuple[Race, ...] = (
    "white",
    "black",
    "latino hispanic",
    "asian",
    "asian",
    "indian",
    "middle eastern",
)
_GENDERS: tuple[Gender, Gender] = ("male", "female")
# Centres of the age classes: 0 to 2, 3 to 9, then decades, and 70 or more.
_AGES = (1, 6, 15, 25, 35, 45, 55, 65, 75)


class FairFace:
    """FairFace (Kärkkäinen, Joo, 2021), exported with class numbers as outputs.

    Ages are by decade.
    """

    provides = frozenset({"age", "gender", "race"})

    def __init__(self, session: Session, spec: InputSpec) -> None:
        self._session = session
        self._input = spec
        self._names = [spec.name for spec in session.outputs]

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Return the most likely race and gender, and the centre of the most likely age class."""
        return [self._read(_crop(frame, face, self._input.size)) for face in faces]

    def _read(self, crop: Bytes) -> Attributes:
        outputs = self._session.run(self._input.tensor([crop]))
        classes = {
            name: int(output.ravel()[0]) for name, output in zip(self._names, outputs, strict=True)
        }
        return Attributes(
            _AGES[classes["age_id"]], _GENDERS[classes["gender_id"]], _RACES[classes["race_id"]]
        )


class AttributeSubset:
    """Reader of some of the fields that another reader provides."""

    def __init__(self, reader: AttributeReader, fields: Collection[str]) -> None:
        self._reader = reader
        self.provides = frozenset(fields) & reader.provides

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Return the chosen fields for each face; the others are None."""
        return [
            Attributes(**{name: getattr(read, name) for name in self.provides})
            for read in self._reader.read(frame, faces)
        ]


class CombinedReader:
    """Several readers as one; each provides its fields."""

    def __init__(self, readers: Sequence[AttributeReader]) -> None:
        self._readers = tuple(readers)
        self.provides = frozenset().union(*(reader.provides for reader in readers))

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Return the attributes of each face; for a field of two readers, the first reader's."""
        read = [reader.read(frame, faces) for reader in self._readers]
        return [_merge_attributes(of_face) for of_face in zip(*read, strict=True)]


def _merge_attributes(parts: Sequence[Attributes]) -> Attributes:
    known = {
        field.name: getattr(part, field.name)
        for part in reversed(parts)
        for field in fields(Attributes)
        if getattr(part, field.name) is not None
    }
    return Attributes(**known)


def _crop(frame: Frame, face: Face, size: int) -> Bytes:
    target = in_pixels(ARCFACE_112_V2, size)
    return byte_crop(frame, fit_similarity(alignment_points(face), target), size)
