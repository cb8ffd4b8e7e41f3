"""Properties of the embedded networks that the engine relies on."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from engine.runtime.session import Session
from engine.values import Bytes
from engine.weights.weight_store import WeightStore

STORE = WeightStore()
NAMES = [weight.name for weight in STORE.weights() if weight.pack == "embedded"]


@cache
def session(name: str) -> Session:
    return Session(STORE.path(name))


def pictures(name: str, count: int, size: tuple[int, int] | None = None) -> list[Bytes]:
    side = STORE.weight(name).input.size
    height, width = size or (side or 64, side or 64)
    noise = np.random.default_rng(0)
    return list(noise.integers(0, 256, (count, height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("name", NAMES)
def test_the_manifest_names_the_graphs_ends(name: str) -> None:
    weight = STORE.weight(name)
    assert [spec.name for spec in session(name).inputs] == [weight.input.name]
    assert [spec.name for spec in session(name).outputs] == list(weight.output)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_answers_as_its_members_do(name: str) -> None:
    assert session(name).batchable
    batch = STORE.weight(name).input.tensor(pictures(name, 3))
    together = session(name).run(batch)
    alone = [session(name).run(batch[index : index + 1]) for index in range(3)]
    for number, output in enumerate(together):
        single = np.concatenate([outputs[number] for outputs in alone])
        np.testing.assert_allclose(output, single, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [(640, 640), (192, 320), (32, 64)])
def test_yunet_takes_any_size_in_steps_of_32(size: tuple[int, int]) -> None:
    outputs = session("yunet").run(STORE.weight("yunet").input.tensor(pictures("yunet", 1, size)))
    height, width = size
    for index, values in enumerate((1, 1, 4, 10)):
        for level, stride in enumerate((8, 16, 32)):
            cells = (height // stride) * (width // stride)
            assert outputs[3 * index + level].shape == (1, cells, values)
    scores = np.concatenate([output.ravel() for output in outputs[:6]])
    assert (scores >= 0).all()
    assert (scores <= 1).all()


@pytest.mark.parametrize(("name", "points"), [("face_mesh", 468), ("face_mesh_478", 478)])
def test_a_mesh_of_noise_is_no_face(name: str, points: int) -> None:
    batch = STORE.weight(name).input.tensor(pictures(name, 2))
    landmarks, score = session(name).run(batch)
    assert landmarks.shape == (2, points, 3)
    assert score.shape == (2, 1)
    assert (score < 0.1).all()
    assert (score >= 0).all()


@pytest.mark.parametrize(("name", "classes"), [("age", 81), ("gender", 2), ("open_nsfw", 2)])
def test_classifiers_answer_probabilities(name: str, classes: int) -> None:
    (odds,) = session(name).run(STORE.weight(name).input.tensor(pictures(name, 2)))
    assert odds.shape == (2, classes)
    assert (odds >= 0).all()
    np.testing.assert_allclose(odds.sum(axis=1), 1, atol=1e-5)


def test_sface_answers_128_numbers() -> None:
    (vectors,) = session("sface").run(STORE.weight("sface").input.tensor(pictures("sface", 2)))
    assert vectors.shape == (2, 128)
    assert np.isfinite(vectors).all()
