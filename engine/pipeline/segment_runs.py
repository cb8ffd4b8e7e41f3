"""Swap single segments of a film, as tasks that depend on no other segment."""

from __future__ import annotations

import platform
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from engine.analysis.film_analysis import FilmAnalysis
from engine.errors import RuntimeUnavailable
from engine.media.encode import encode_segment
from engine.options import Trim
from engine.pipeline.kept_segments import KeptSegments, Restart, work_key
from engine.pipeline.swap import prepare_run
from engine.pipeline.tools import Request, Tools


@dataclass(frozen=True, slots=True)
class SegmentPart:
    """A segment of an output.

    Attributes:
        number: number of the segment, from 0.
        index: index of its first frame in the output, from 0.
        frames: number of its frames.
        restart: where to begin to read the target.
    """

    number: int
    index: int
    frames: int
    restart: Restart


def split_parts(
    analysis: FilmAnalysis, trim: Trim, length: int, *, from_cuts: bool
) -> list[SegmentPart]:
    """Return the segments of the part of a film that `trim` gives.

    `from_cuts` begins to read each at the cut before it, as crops need whose sides follow the size
    of a tracked face.

    Raises:
        MediaError: The analysis cannot be read.
    """
    frames = list(analysis.times(trim.start, trim.end))
    parts: list[SegmentPart] = []
    cut = 0
    for index, (_, is_cut) in enumerate(frames):
        cut = index if is_cut else cut
        if index % length == 0:
            begin = cut if from_cuts else index
            before = tuple(pts for pts, _ in frames[begin:index])
            start = Restart(begin, frames[begin][0], 0, before)
            parts.append(SegmentPart(len(parts), index, min(length, len(frames) - index), start))
    return parts


def run_segment(request: Request, tools: Tools, part: SegmentPart, length: int, key: str) -> None:
    """Swap a segment of a video, and keep it in the work folder `key`.

    The analysis of the target must be among the tools.

    Raises:
        RuntimeUnavailable: This process would make another output than the one that asked for it.
        EngineError: As in a swap.
    """
    if request.work is None or work_key(request, tools) != key:
        raise RuntimeUnavailable(
            f"The machine {platform.node()} would make another output: its files, device, "
            "networks, libraries or version of faceswap-engine differ from those of the machine "
            "that began the swap."
        )
    run = prepare_run(request, tools)
    first = run.first_frame()
    run.recorder.begin_at(part.index, first.pts)
    trim = request.options.trim
    with request.work.open(key) as folder:
        kept = KeptSegments(folder, length, run.check, run.missed.warnings, begin=part.number)
        run.recorder.listeners.append(kept.record)
        read = islice(run.read_target(part.restart), len(part.restart.finished) + part.frames)
        with closing(run.swap_frames(read, part.restart)) as frames:
            encode_segment(
                frames,
                request.output,
                like=request.target,
                options=request.options.encode,
                trim=trim,
                segments=kept,
                first=first,
            )
        if kept.warnings:
            raise RuntimeUnavailable(" ".join(kept.warnings))
