from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.errors import WeightsMissing
from engine.weights.emap import load_emap
from engine.weights.weight_store import WeightStore
from tests.runtime.tiny_models import save_swapper

NAME = "inswapper_128"
EMAP = 2 * np.eye(512, dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    store = WeightStore(user_folder=tmp_path / "user")
    store.import_path(save_swapper(tmp_path / f"{NAME}.onnx"))
    return store


def caches(store: WeightStore) -> list[Path]:
    return sorted((store.user_folder / "prepared").rglob("emap.npz"))


def test_the_file_is_parsed_once(store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    np.testing.assert_array_equal(load_emap(store, NAME), EMAP, strict=True)
    assert len(caches(store)) == 1
    monkeypatch.setitem(sys.modules, "onnx", None)
    again = load_emap(WeightStore(store.folder, store.user_folder), NAME)
    np.testing.assert_array_equal(again, EMAP, strict=True)


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "other"])
def test_a_damaged_cache_is_written_again(store: WeightStore, damage: str) -> None:
    load_emap(store, NAME)
    (cache,) = caches(store)
    content = bytearray(cache.read_bytes())
    if damage == "other":
        np.savez(cache, emap=np.eye(3, dtype=np.float32))
    elif damage == "changed":
        content[len(content) // 2] ^= 1
        cache.write_bytes(content)
    else:
        cache.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    for _ in range(2):
        np.testing.assert_array_equal(load_emap(store, NAME), EMAP, strict=True)
    with np.load(cache) as cached:
        np.testing.assert_array_equal(cached["emap"], EMAP)


def test_the_emap_of_a_replaced_file_goes_with_it(store: WeightStore, tmp_path: Path) -> None:
    load_emap(store, NAME)
    path = tmp_path / f"{NAME}.onnx"
    model = onnx.load(str(path))
    (emap,) = (one for one in model.graph.initializer if one.name == "emap")
    emap.CopyFrom(onnx.numpy_helper.from_array(3 * EMAP, "emap"))
    onnx.save(model, str(path))
    store.import_path(path)
    assert caches(store) == []
    np.testing.assert_array_equal(load_emap(store, NAME), 3 * EMAP)


def test_without_a_folder_to_write_it_is_read_all_the_same(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(
        WeightStore, "prepared_folders", lambda *_: (tmp_path / "file" / "a", tmp_path / "file")
    )
    np.testing.assert_array_equal(load_emap(store, NAME), EMAP)


def test_a_network_that_was_not_imported_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"inswapper_128 of the pack insightface"):
        load_emap(WeightStore(user_folder=tmp_path / "none"), NAME)
