"""dlib's networks for age and gender."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.geometry.affine import fit_similarity, invert
from engine.options import Gender
from engine.pixels.align import byte_crop
from engine.runtime.session import Session
from engine.values import Affine, Attributes, Bytes, Face, Frame, Mesh

# Mean positions of dlib's five points in the unit square: outer and inner corner of the eye on the
# right of the picture, then on the left, and the base of the nose (`get_face_chip_details`).
_MEAN_FACE = np.array(
    [
        (0.8595674595992, 0.2134981538014),
        (0.6460604764104, 0.2289674387677),
        (0.1205750620789, 0.2137274526848),
        (0.3340850613712, 0.2290642403242),
        (0.4901123135679, 0.6277975316475),
    ]
)
_MESH_POINTS = (263, 362, 33, 133, 2)  # the same five in the mesh
_PADDING = 0.2
_MEANS = np.array([122.782, 117.001, 104.298], np.float32)
_SCALE = np.float32(1 / 256)
# The first of the 81 classes stands for the first year of life.
_YEARS = np.array([0.25, *range(1, 81)], np.float32)
_GENDERS: tuple[Gender, Gender] = ("female", "male")


class AgeGender:
    """Cydral's dnn_age_predictor_v1 and dnn_gender_classifier_v1 from dlib-models.

    A network that is None leaves its field None. Crops are dlib's face chips, aligned by the mesh:
    64 pixels a side for the age and 32 for the gender, with a fifth of padding on each side.
    """

    def __init__(self, *, age: Session | None = None, gender: Session | None = None) -> None:
        self._age = age
        self._gender = gender
        self.provides = frozenset(
            name for name, session in (("age", age), ("gender", gender)) if session is not None
        )

    def read(self, frame: Frame, faces: Sequence[Face]) -> list[Attributes]:
        """Return age (the expectation over 81 classes, rounded) and the more likely gender."""
        ages: list[int | None] = [None] * len(faces)
        genders: list[Gender | None] = [None] * len(faces)
        if faces and self._age is not None:
            expected = _class_probabilities(self._age, _cut_chips(frame, faces, 64)) @ _YEARS
            ages = [int(np.floor(years + 0.5)) for years in expected]
        if faces and self._gender is not None:
            likelier = _class_probabilities(self._gender, _cut_chips(frame, faces, 32)).argmax(
                axis=1
            )
            genders = [_GENDERS[index] for index in likelier]
        return [Attributes(age, gender) for age, gender in zip(ages, genders, strict=True)]


def chip_map(mesh: Mesh, size: int) -> Affine:
    """Return the map from display space to dlib's face chip of `size` x `size` pixels.

    The least-squares fit is from the chip to the picture, as in dlib.
    """
    template = (_MEAN_FACE + _PADDING) / (1 + 2 * _PADDING) * size
    return invert(fit_similarity(template, mesh.points[list(_MESH_POINTS), :2]))


def _cut_chips(frame: Frame, faces: Sequence[Face], size: int) -> list[Bytes]:
    return [byte_crop(frame, chip_map(face.mesh, size), size) for face in faces]


def _class_probabilities(session: Session, chips: Sequence[Bytes]) -> NDArray[np.float32]:
    blob = (np.stack(chips).astype(np.float32) - _MEANS) * _SCALE
    probabilities: NDArray[np.float32] = session.run(
        np.ascontiguousarray(blob.transpose(0, 3, 1, 2))
    )[0]
    return probabilities
