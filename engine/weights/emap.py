"""The emap of an imported inswapper, and its cache."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsCorrupt, WeightsError
from engine.weights.atomic_files import atomic_replacement
from engine.weights.onnx_file import EMAP_SHAPE, MalformedError, emap_of, read_model
from engine.weights.weight_store import WeightStore

_CACHE: Final = "emap.npz"  # a zip, whose checksum finds damage


def load_emap(store: WeightStore, name: str) -> NDArray[np.float32]:
    """Return the emap of an imported inswapper, (512, 512) float32.

    It is cached beside the network's prepared graphs, as the file of 500 MB takes seconds to parse.

    Raises:
        WeightsMissing: The network is not imported.
        WeightsCorrupt: The file is not as recorded, or holds no emap.
    """
    source = store.path(name)
    folders = store.prepared_folders(store.weight(name))
    for folder in folders:
        with (
            suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile),
            (folder / _CACHE).open("rb") as file,
        ):
            cached: NDArray[np.float32] = np.load(file)["emap"]
            if cached.shape == EMAP_SHAPE and cached.dtype == np.float32:
                return cached
    try:
        emap = emap_of(read_model(source), name)
    except MalformedError as error:
        raise WeightsCorrupt(f"{source} cannot be read: {error} Import it again.") from error
    # Where neither folder can be written, the file is parsed each time.
    with (
        suppress(WeightsError),
        atomic_replacement(folders[0] / _CACHE) as path,
        path.open("wb") as target,
    ):
        np.savez(target, emap=emap)
    return emap
