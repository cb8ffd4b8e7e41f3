"""Preview a swap: one frame of the target before and after, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Final

from engine.errors import ParameterError
from engine.faces.shots import split_shots
from engine.media.decode import frame_seconds, read_frame, read_frames, shown_seconds
from engine.media.output_file import IMAGE_SUFFIXES, check_output
from engine.media.probe import probe
from engine.media.still import write_image
from engine.options import Trim
from engine.pipeline.records import FaceRecord, clock, describe, seconds_of
from engine.pipeline.swap import swap_one
from engine.pipeline.tools import Request, Tools
from engine.pipeline.video import Observe
from engine.pixels.planes import as_frame
from engine.pixels.sheet import GAP, LINE, blank, place, write_line
from engine.values import BriefRepr, Bytes, Frame, VideoInfo

_LEAD: Final = 2.0  # seconds that are analysed before the frame, if its shot is as long
_REACH = 8.0  # seconds before the frame in which the beginning of its shot is looked for
_CLOSE = 0.0005  # seconds between two times of one frame, at most
_LEAST_WIDTH = 640  # of the picture, for the words below the frames
_MOST_FACES = 12  # that are described


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Preview(BriefRepr):
    """One frame of a target before and after a swap.

    Attributes:
        output: picture with both frames side by side.
        before: the target's frame.
        after: the frame as the swap writes it, before it is encoded.
        seconds: its time in the target, in seconds after the first frame; 0 for a still.
        faces: its faces, and what was decided about each.
        warnings: sentences about the source and the target.
    """

    output: Path
    before: Frame
    after: Frame
    seconds: float
    faces: tuple[FaceRecord, ...]
    warnings: tuple[str, ...]


def run_preview(
    request: Request,
    tools: Tools,
    *,
    number: int | None = None,
    seconds: float | None = None,
    observe: Observe | None = None,
) -> Preview:
    """Swap one frame of a target, and write it before and after to a picture.

    The frame is given by its number in the swap's output, 1 for the first, or by its time in the
    target.

    Raises:
        MediaError: A file cannot be read or written.
        OutputExists: The output exists, and `overwrite` is False.
        ParameterError: The target has no such frame, or the swap would leave it out.
        NoFaceFound: The source or the reference shows no face.
        SourceUnfit: The source hides a part of its face that the swapper needs.
        ContentBlocked: The content check refused the source or the frame.
    """
    info = check_preview(request)
    trim, at = request.options.trim, None
    if info.kind == "video":
        at = _time_of_frame(request.target, info, trim, number, seconds)
        start = max(at - _LEAD, trim.start or 0.0)
        if tools.analysis is None:
            every = request.options.analysis.detect_every
            start = _analysis_start(request.target, at, trim.start or 0.0, every)
        options = replace(request.options, trim=Trim(start=max(start - _CLOSE, 0.0)))
        request = replace(request, options=options)
    one = swap_one(request, tools, at, observe)
    picture = draw_preview(one.before, one.after, _lines(one.record.seconds, one.record.faces))
    written = write_image(
        as_frame(picture),
        request.output,
        overwrite=request.options.overwrite,
        provenance=one.provenance,
    )
    return Preview(
        output=request.output,
        before=one.before,
        after=one.after,
        seconds=one.record.seconds,
        faces=one.record.faces,
        warnings=(*one.warnings, *written.warnings),
    )


def check_preview(request: Request) -> VideoInfo:
    """Return the description of the target, before any work is done.

    Raises:
        MediaError: The target cannot be read, or the output cannot be written.
        OutputExists: The output exists, and `overwrite` is False.
    """
    check_output(
        request.output,
        overwrite=request.options.overwrite,
        inputs=request.inputs,
        suffixes=IMAGE_SUFFIXES,
    )
    return probe(request.target)


def draw_preview(before: Frame, after: Frame, lines: Iterator[str]) -> Bytes:
    """Return two frames side by side with words above and lines below: (h, w, 3) RGB, uint8."""
    pictures, words = (before.to_rgb(), after.to_rgb()), list(lines)
    height, width = pictures[0].shape[:2]
    sheet = blank(
        max(2 * (width + GAP) + GAP, _LEAST_WIDTH), LINE + GAP + height + len(words) * LINE + GAP
    )
    for column, (picture, title) in enumerate(zip(pictures, ("before", "after"), strict=True)):
        left = GAP + column * (width + GAP)
        write_line(sheet, title, left, LINE, bold=True)
        place(sheet, picture, left, LINE + GAP)
    for number, line in enumerate(words, start=1):
        write_line(sheet, line, GAP, LINE + GAP + height + number * LINE)
    return sheet


def _time_of_frame(
    target: Path, info: VideoInfo, trim: Trim, number: int | None, seconds: float | None
) -> float:
    """Return the time of the wanted frame, in seconds after the target's first."""
    start = trim.start or 0.0
    if seconds is None:
        at = float(frame_seconds(target, number or 1, trim.start))
    else:
        if info.duration is not None and seconds > info.duration + 1:
            raise ParameterError(
                f"The time is {seconds:g} s, but {target} ends at {info.duration:g} s."
            )
        at = float(shown_seconds(target, seconds))
    if at < start or (trim.end is not None and at >= trim.end):
        raise ParameterError(
            f"The frame at {clock(at)} is not in the part of {target} that start and end leave."
        )
    return at


def _analysis_start(target: Path, at: float, earliest: float, every: int) -> float:
    """Return the time from which the target is analysed for the frame at the time `at`.

    It is the beginning of the frame's shot, if that is near: the faces are then those of the whole
    swap. Of a longer shot it is a frame on which the whole swap detects faces and hands, some
    seconds before.
    """
    begin = max(at - _REACH, earliest)
    origin = read_frame(target, 1).pts
    with closing(read_frames(target, Trim(start=begin))) as frames:
        until = takewhile(lambda frame: seconds_of(frame, origin) <= at + _CLOSE, frames)
        shots = [[seconds_of(frame, origin) for frame in shot] for shot in split_shots(until)]
    if begin > earliest and len(shots) == 1:
        return at - _LEAD
    detected = shots[-1][:: 2 * every]
    return max((time for time in detected if time <= at - _LEAD), default=detected[0])


def _lines(seconds: float, faces: tuple[FaceRecord, ...]) -> Iterator[str]:
    """Yield what is written below the frames."""
    yield clock(seconds)
    yield from map(describe, faces[:_MOST_FACES])
    if len(faces) > _MOST_FACES:
        yield f"and {len(faces) - _MOST_FACES} more"
