"""The oval of a face in a crop, and how far it can be trusted."""

from __future__ import annotations

import numpy as np
import pytest

from engine.geometry.mesh_topology import OVAL
from engine.pixels.face_oval import draw_oval, oval_trust
from engine.values import Aligned


def target(size: int) -> Aligned:
    """A crop whose oval is a circle around its centre, of a quarter of its side."""
    mesh = np.zeros((468, 3), np.float32)
    angles = np.linspace(0, 2 * np.pi, len(OVAL), endpoint=False)
    centre = (size - 1) / 2
    mesh[list(OVAL), 0] = centre + size / 4 * np.cos(angles)
    mesh[list(OVAL), 1] = centre + size / 4 * np.sin(angles)
    return Aligned(np.zeros((size, size, 3), np.float32), np.eye(2, 3), mesh)


@pytest.mark.parametrize("size", [64, 512])
def test_the_oval_is_as_large_on_the_grid_as_in_the_crop(size: int) -> None:
    mask = draw_oval(target(size), 128)
    assert mask.shape == (128, 128)
    assert mask[64, 64] == 1
    assert mask[64, 25] == mask[25, 64] == 0
    assert float(mask.mean()) == pytest.approx(np.pi / 16, rel=0.04)


def test_an_oval_is_trusted_by_the_score_of_its_mesh() -> None:
    scores = (0.0, 0.02, 0.07, 0.12, 1.0)
    assert [oval_trust(score) for score in scores] == pytest.approx([0, 0, 0.5, 1, 1], abs=1e-6)
