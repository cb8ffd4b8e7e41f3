"""The sheet of spans that want a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.errors import OutputExists
from engine.media.decode import read_image
from engine.pipeline.review import draw_review, write_review
from engine.pipeline.spans import Span
from engine.values import Bytes
from tests.footage import write_clip

SPAN = Span(
    reason="hand",
    track=3,
    first=2,
    last=4,
    start=0.04,
    end=0.12,
    frame=3,
    seconds=0.08,
    box=(100.0, 60.0, 200.0, 160.0),
    weight=2.0,
)
GREY = np.full((200, 200, 3), 90, np.uint8)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 20])
def test_the_sheet_grows_by_rows(count: int) -> None:
    height, width, _ = draw_review([(SPAN, (GREY, GREY))] * count).shape
    assert width == 12 + 3 * 412
    assert height == (12 + 36 if not count else 12 + -(-count // 3) * (200 + 48 + 12))
    more = draw_review([(SPAN, (GREY, GREY))] * count, 5)
    assert more.shape[0] >= height


def test_each_pair_shows_the_worst_frame_before_and_after(tmp_path: Path) -> None:
    # Each frame has a grey of its own: the target 10 a frame, the output 100 more.
    def shades(first: int) -> Callable[[int, tuple[int, int]], Bytes]:
        return lambda index, size: np.full((size[1], size[0], 3), first + 10 * index, np.uint8)

    target = write_clip(tmp_path / "target.mkv", range(500, 1300, 40), paint=shades(20))
    output = write_clip(tmp_path / "output.mkv", range(0, 400, 40), paint=shades(100))
    # The swap began at the target's fifth frame.
    span = replace(SPAN, seconds=0.24)
    path = tmp_path / "review.png"
    write_review(path, (target, output), [span, SPAN], 2, overwrite=False, provenance={})
    sheet = read_image(path).to_rgb()
    middle = 12 + 100
    shown = [int(sheet[middle, 12 + at + 100, 0]) for at in (0, 200, 412, 612)]
    assert shown == pytest.approx([20 + 60, 100 + 20, 20 + 20, 100 + 20], abs=1)
    with pytest.raises(OutputExists):
        write_review(path, (target, output), [], 0, overwrite=False, provenance={})
