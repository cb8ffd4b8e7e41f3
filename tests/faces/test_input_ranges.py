"""The embedded networks get inputs as the rows of the manifest describe them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.faces.attributes import AgeGender
from engine.faces.mesh import FaceMeshNetwork
from engine.faces.sface import SFace
from engine.faces.yunet import YuNet
from engine.runtime.session import Session
from engine.trust.content import explicit_score
from engine.values import Bytes
from engine.weights.weight_store import WeightStore
from tests.faces.pictures import frame_of
from tests.people import face

NOISE = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)


class RecordingSession(Session):
    """Keeps the inputs of the network."""

    def run(self, *inputs: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        (self.fed,) = inputs
        return super().run(*inputs)


def square(size: int) -> Bytes:
    return NOISE[:size, :size]


def middle(size: int) -> Bytes:
    border = (len(NOISE) - size) // 2
    return NOISE[border : border + size, border : border + size]


@pytest.mark.parametrize(
    ("name", "ask", "cut"),
    [
        ("yunet", lambda session: YuNet(session).detect([square(224)]), lambda _: square(224)),
        ("sface", lambda session: SFace(session).embed([square(112)]), square),
        ("face_mesh", lambda session: FaceMeshNetwork(session).locate([square(192)]), square),
        ("face_mesh_478", lambda session: FaceMeshNetwork(session).locate([square(256)]), square),
        ("open_nsfw", lambda session: explicit_score(NOISE, session), middle),
    ],
)
def test_pictures_are_prepared_as_the_manifest_says(
    store: WeightStore, name: str, ask: Callable[[Any], object], cut: Callable[[int], Bytes]
) -> None:
    session, spec = RecordingSession(store.path(name)), store.weight(name).input
    ask(session)
    np.testing.assert_allclose(session.fed, spec.tensor([cut(spec.size)]), rtol=1e-6)


@pytest.mark.parametrize("name", ["age", "gender"])
def test_chips_are_prepared_as_the_manifest_says(store: WeightStore, name: str) -> None:
    session, spec = RecordingSession(store.path(name)), store.weight(name).input
    plain = np.full((64, 64, 3), (200, 120, 40), np.uint8)
    someone = face(10, 10, 40)
    someone.mesh.points[:, :2] = np.random.default_rng(0).uniform(20, 44, (468, 2))
    AgeGender(**{name: session}).read(frame_of(plain), [someone])
    expected = spec.tensor([np.full((spec.size, spec.size, 3), (200, 120, 40), np.uint8)])
    assert session.fed.shape == expected.shape
    centre = spec.size // 2
    np.testing.assert_allclose(
        session.fed[..., centre, centre], expected[..., centre, centre], atol=0.02
    )
