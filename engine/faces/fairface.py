"""Race, gender and age by the FairFace network, which users import."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields

from engine.faces.identity import alignment_points
from engine.faces.protocols import AttributeReader
from engine.geometry.affine import fit_similarity
from engine.geometry.templates import ARCFACE_112_V2, in_pixels
from engine.options import Gender, Race
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Attributes, Bytes, Face, Frame
from engine.weights.manifest import InputSpec

# The classes of Kärkkäinen and Joo: "FairFace", 2021, in the network's order; East and Southeast
# Asian are one here, as in the public parameter.
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
# The middles of the classes: 0 to 2, 3 to 9, then by decades, and 70 or more.
_AGES = (1, 6, 15, 25, 35, 45, 55, 65, 75)


class FairFace:
    """Kärkkäinen, Joo: "FairFace", 2021, as exported with class numbers for outputs.

    It knows ages by decade only.
    """

    provides = frozenset({"age", "gender", "race"})

    def __init__(self, session: Session, spec: InputSpec) -> None:
        self._session = session
        self._input = spec
        self._names = [spec.name for spec in session.outputs]

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """The likeliest race and gender of each face, and the middle of the likeliest decade."""
        return [self._read(_crop(frame, face, self._input.size)) for face in faces]

    def _read(self, crop: Bytes) -> Attributes:
        outputs = self._session.run(self._input.tensor([crop]))
        said = {
            name: int(output.ravel()[0]) for name, output in zip(self._names, outputs, strict=True)
        }
        return Attributes(
            _AGES[said["age_id"]], _GENDERS[said["gender_id"]], _RACES[said["race_id"]]
        )


class AttributeSubset:
    """A reader's word on some of the fields that it provides."""

    def __init__(self, reader: AttributeReader, fields: Collection[str]) -> None:
        self._reader = reader
        self.provides = frozenset(fields) & reader.provides

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """What the reader says, and None for the other fields."""
        return [
            Attributes(**{name: getattr(said, name) for name in self.provides})
            for said in self._reader.read(frame, faces)
        ]


class CombinedReader:
    """Several readers as one, each giving the fields that it provides."""

    def __init__(self, readers: Sequence[AttributeReader]) -> None:
        self._readers = tuple(readers)
        self.provides = frozenset().union(*(reader.provides for reader in readers))

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """What the readers say together; of a field that two provide, the first's word counts."""
        said = [reader.read(frame, faces) for reader in self._readers]
        return [_merge_attributes(of_face) for of_face in zip(*said, strict=True)]


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
