"""Draw the spans of a finished swap that want a look, before and after."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, TypeAlias

from engine.media.decode import frame_seconds, read_frames
from engine.media.still import write_image
from engine.options import Trim
from engine.pipeline.records import clock
from engine.pipeline.spans import Span
from engine.pixels.align import face_picture
from engine.pixels.planes import as_frame
from engine.pixels.sheet import GAP, LINE, blank, place, write_line, write_tag
from engine.values import Box, Bytes, Frame

_SIDE: Final = 200  # pixels of a picture
_COLUMNS = 3
_WIDTH, _HEIGHT = 2 * _SIDE, _SIDE + 2 * LINE  # of a span's two pictures with their words
_NEAR = 0.0005  # seconds before a frame at which a search for it begins

# A face before and after, (side, side, 3) RGB.
_Pair: TypeAlias = tuple[Bytes, Bytes]


def write_review(
    path: Path,
    films: tuple[Path, Path],
    spans: Sequence[Span],
    more: int,
    *,
    overwrite: bool,
    provenance: Mapping[str, str],
) -> None:
    """Write a sheet with the worst frame of each span, cut around its face, before and after.

    The frames are read again from `films`, target and output, by seeking. `more` counts spans that
    are not among `spans`.

    Raises:
        MediaError: A file cannot be read or written.
        OutputExists: `path` exists, and `overwrite` is False.
    """
    by_time = sorted(spans, key=lambda span: span.frame)
    pairs = {span: _pair(span, *films) for span in by_time}
    sheet = draw_review([(span, pairs[span]) for span in spans], more)
    write_image(as_frame(sheet), path, overwrite=overwrite, provenance=provenance)


def draw_review(rows: Sequence[tuple[Span, _Pair]], more: int = 0) -> Bytes:
    """Return the sheet of spans and their pairs of pictures: (h, w, 3) RGB, uint8."""
    lines = -(-len(rows) // _COLUMNS)
    bottom = GAP + lines * (_HEIGHT + GAP)
    last = _last_line(len(rows), more)
    sheet = blank(GAP + _COLUMNS * (_WIDTH + GAP), bottom + (LINE + GAP if last else 0))
    if last:
        write_line(sheet, last, GAP, bottom + LINE - GAP // 2, bold=not rows)
    for number, (span, (before, after)) in enumerate(rows):
        row, column = divmod(number, _COLUMNS)
        left, top = GAP + column * (_WIDTH + GAP), GAP + row * (_HEIGHT + GAP)
        for at, picture, title in ((left, before, "before"), (left + _SIDE, after, "after")):
            shown = picture.copy()
            write_tag(shown, title, 0, 0)
            place(sheet, shown, at, top)
        for line, words in enumerate(_words(span), start=1):
            write_line(sheet, words, left, top + _SIDE + line * LINE - GAP // 2, bold=line == 1)
    return sheet


def _words(span: Span) -> Iterator[str]:
    yield f"{span.reason}, track {span.track}"
    yield f"{clock(span.seconds)} (frames {span.first} to {span.last})"


def _last_line(shown: int, more: int) -> str:
    if not shown:
        return "Nothing wants a look."
    return f"and {more} more" if more else ""


def _pair(span: Span, target: Path, output: Path) -> _Pair:
    """Return the face of a span's worst frame in the target and in the output."""
    box = Box(*span.box)
    before = _frame_at(target, span.seconds)
    after = _frame_at(output, float(frame_seconds(output, span.frame)))
    return face_picture(before, box, _SIDE), face_picture(after, box, _SIDE)


def _frame_at(path: Path, seconds: float) -> Frame:
    with closing(read_frames(path, Trim(start=max(seconds - _NEAR, 0.0)))) as frames:
        return next(frames)
