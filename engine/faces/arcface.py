"""ArcFace recognisers of imported packs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.faces.imported import run_batch
from engine.geometry.templates import template_named
from engine.runtime.session import Session
from engine.values import Bytes, Embedding
from engine.weights.manifest import InputSpec


class ArcFace:
    """ArcFace recogniser.

    Deng, Guo, Xue, Zafeiriou: "ArcFace: Additive Angular Margin Loss", 2019.

    Args:
        session: the network.
        input: size, scaling and template of its crops. InsightFace's w600k networks take RGB as
            (p - 127.5) / 127.5, 112 pixels a side, aligned to arcface_112_v2.
        name: the network's name.
    """

    def __init__(self, session: Session, input: InputSpec, name: str) -> None:  # noqa: A002
        self._session = session
        self._input = input
        self.name = name
        self.size = input.size
        self.template = template_named(input.template)

    def embed(self, crops: Sequence[Bytes]) -> list[Embedding]:
        """Return a unit-length embedding, usually (512,), for each (size, size, 3) RGB crop."""
        if not crops:
            return []
        raw = run_batch(self._session, self._input.tensor(crops))
        units: list[Embedding] = [
            (vector / np.linalg.norm(vector)).astype(np.float32) for vector in raw
        ]
        return units
