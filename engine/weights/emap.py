"""The map of latents that an inswapper carries with it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engine.errors import WeightsCorrupt
from engine.runtime.protobuf import MalformedError, initializers

_SHAPE: Final = (512, 512)


def read_emap(path: Path, called: str) -> NDArray[np.float32]:
    """The (512, 512) matrix that an embedding is multiplied with to become inswapper's latent.

    It is the last initializer of that shape in the file, whose name to its user is `called`; the
    nodes of the graph do not use it.

    Raises:
        WeightsCorrupt: there is none, or none of single or half precision.
    """
    try:
        found = [tensor for tensor in initializers(path) if tensor.shape == _SHAPE]
        if found:
            return found[-1].numbers()
    except MalformedError as error:
        raise WeightsCorrupt(f"The map of latents in {called} is of no use: {error}") from error
    raise WeightsCorrupt(
        f"{called} holds no matrix of 512 x 512, the map of latents without which no inswapper is "
        "of use; bring the file as it was published."
    )
