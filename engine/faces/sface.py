"""The embedded recogniser SFace."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.geometry.templates import ARCFACE_112_V2
from engine.runtime.session import Session
from engine.values import Bytes, Embedding


class SFace:
    """SFace (Zhong, Deng, Hu et al.: "SFace: Sigmoid-constrained Hypersphere Loss", 2021).

    Embeddings have 128 numbers. A cosine of at least 0.363 means one person (OpenCV zoo).
    """

    name = "sface"
    size = 112
    template = ARCFACE_112_V2

    def __init__(self, session: Session) -> None:
        self._session = session

    def embed(self, crops: Sequence[Bytes]) -> list[Embedding]:
        """Return a unit-length (128,) embedding for each (112, 112, 3) RGB crop."""
        return [self._embed(crop) for crop in crops]

    def _embed(self, crop: Bytes) -> Embedding:
        blob = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)
        raw = self._session.run(blob)[0][0]
        unit: Embedding = (raw / np.linalg.norm(raw)).astype(np.float32)
        return unit
