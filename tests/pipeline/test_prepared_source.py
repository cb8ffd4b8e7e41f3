"""The engine's memory of prepared sources is bounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.pipeline.prepared_source import (
    PreparedSource,
    SourceCache,
    SourceFile,
    SourceKey,
    SourceSettings,
    size_of,
)
from engine.values import DistanceScale, Template

SETTINGS = SourceSettings((), ())


def key(name: str) -> SourceKey:
    return SourceKey((SourceFile("source_image", "face", name),), SETTINGS)


def source(size: int) -> PreparedSource:
    return PreparedSource(
        paths=(Path("face.jpg"),),
        parameters={},
        from_clip=False,
        pictures=(),
        settings=SETTINGS,
        encoded=np.zeros(size, np.uint8),
        views=(),
        scale=DistanceScale(),
        score=None,
        file_notes=(),
        damage=(),
    )


@pytest.mark.parametrize(("most", "most_bytes"), [(2, 10_000), (9, 2_500)])
def test_those_used_last_are_kept_within_both_bounds(most: int, most_bytes: int) -> None:
    cache = SourceCache(most, most_bytes)
    for name in "ab":
        cache.keep(key(name), source(1000))
    first = cache.get(key("a"))
    cache.keep(key("c"), source(1000))
    assert first is not None
    assert cache.get(key("a")) is first
    assert cache.get(key("b")) is None
    assert cache.get(key("c")) is not None
    cache.clear()
    assert cache.get(key("a")) is None


def test_a_source_beyond_the_bound_is_not_kept() -> None:
    cache = SourceCache(most_bytes=1000)
    cache.keep(key("a"), source(2000))
    assert cache.get(key("a")) is None


def test_all_that_a_value_holds_is_counted() -> None:
    array = np.zeros(1000, np.float32)
    assert size_of(array) == 4000
    for value in ((array, array), [array] * 2, {"a": array, "b": array}):
        assert 8000 <= size_of(value) < 9000
    assert size_of(Template("name", ((0.5, 0.5),))) > 0
