"""Batches that tell how much of a call came at once."""

from __future__ import annotations

from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session, Tensor


class CountedBatches(Batches):
    """Remembers the rows of each call, settings left aside."""

    def __init__(self, session: Session) -> None:
        super().__init__(session, SIZES)
        self.rows: list[int] = []

    def run(self, *arrays: Tensor) -> list[Tensor]:
        specs = zip(self.session.inputs, arrays, strict=True)
        self.rows.append(next(len(array) for spec, array in specs if not spec.is_setting))
        return super().run(*arrays)
