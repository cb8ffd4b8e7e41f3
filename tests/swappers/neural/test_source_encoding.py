"""Identities between a source's and a target's, and their use in a swap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.faces.landmarks import alignment_points
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session
from engine.swappers.neural.source_encoding import (
    EMBEDDER,
    EMBEDDING_ENCODER,
    ConverterEncoder,
    CropEncoder,
    EmapEncoder,
    mix_identities,
)
from engine.weights.weight_store import WeightStore
from tests.swappers import stand_ins


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, 512)).astype(np.float32)


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: NDArray[np.float32] = (one * other).sum(axis=1) / lengths
    return found


def test_the_ends_of_the_mixture_are_the_two_identities() -> None:
    own, other = vectors(3), vectors(3, 1)
    np.testing.assert_allclose(mix_identities(own, other, 1), own, rtol=1e-4)
    np.testing.assert_allclose(cosines(mix_identities(own, other, 0), other), 1, atol=1e-5)
    halfway = mix_identities(own, other, 0.5)
    np.testing.assert_allclose(cosines(halfway, own), cosines(halfway, other), atol=1e-5)


@pytest.mark.parametrize("weight", [0, 0.25, 0.5, 1, 1.5])
def test_a_mixture_is_as_long_as_the_identity_however_long_the_other_is(weight: float) -> None:
    own, other = 20 * vectors(3), vectors(3, 1)
    got = mix_identities(own, other, weight)
    assert got.dtype == np.float32
    lengths = np.linalg.norm(own, axis=1)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), lengths, rtol=1e-5)
    np.testing.assert_allclose(mix_identities(own, 7 * other, weight), got, rtol=1e-3, atol=1e-4)


def test_more_weight_means_more_of_the_source_and_less_of_the_target() -> None:
    own, other = vectors(3), vectors(3, 1)
    steps = [mix_identities(own, other, weight) for weight in (0, 0.3, 0.65, 1, 1.25, 1.5)]
    to_other = [cosines(step, other) for step in steps]
    assert (np.diff(to_other, axis=0) < 0).all()
    assert (cosines(steps[-1], other) < cosines(own, other)).all()
    to_own = [cosines(step, own) for step in steps[:4]]
    assert (np.diff(to_own, axis=0) > 0).all()


@pytest.mark.parametrize(("opposite", "weight"), [(-1, 0.5), (-3, 0.5), (0.2, 0.5), (7, 0.3)])
def test_an_identity_that_takes_the_other_away_or_is_it_stays(
    opposite: float, weight: float
) -> None:
    own = np.concatenate([vectors(3), 20 * vectors(1, 1)])
    got = mix_identities(own, (opposite * own).astype(np.float32), weight)
    np.testing.assert_allclose(got, own, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("unit", [True, False])
def test_converters_of_any_batch_give_each_identity_its_own(
    packs: WeightStore, tmp_path: Path, unit: bool
) -> None:
    crop = CropEncoder(packs.network(EMBEDDER).input, alignment_points)
    embedder = Session(packs.path(EMBEDDER))
    one, free = (
        ConverterEncoder(embedder, crop, Batches(Session(graph), sizes), unit)
        for graph, sizes in (
            (stand_ins.converter(tmp_path / "one.onnx", batch=1), (1,)),
            (stand_ins.converter(tmp_path / "free.onnx", batch="N"), SIZES),
        )
    )
    rows = vectors(3)
    wanted = 2 * rows + stand_ins.LEAN
    if unit:
        wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    for encode in (one, free):
        np.testing.assert_allclose(encode.codes(rows), wanted, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(encode.codes(rows[:1]), wanted[:1], rtol=1e-5, atol=1e-6)


def test_codes_of_many_are_those_of_each() -> None:
    rows = vectors(3)
    for encode in (EMBEDDING_ENCODER, EmapEncoder(stand_ins.EMAP)):
        alone = np.concatenate([encode.codes(row[None]) for row in rows])
        np.testing.assert_allclose(encode.codes(rows), alone, rtol=1e-4, atol=1e-6)
