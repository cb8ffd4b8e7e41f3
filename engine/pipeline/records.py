"""Records of what was decided about each frame and its faces; a trace is a file of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from engine.media.os_errors import write_error
from engine.media.output_file import partial_output
from engine.pipeline.stages import Coverage, SwappedFace
from engine.selection import Decision
from engine.values import CastReason, Face, Frame

VERSION: Final = 1  # of a line; raise it when the meaning of a field changes or one goes
_FADED = 0.9  # strength below which a reason is recorded

FadeReason: TypeAlias = Literal["turned away", "poor mesh"]


@dataclass(frozen=True, slots=True)
class SwapRecord:
    """Visibility of the swap on a chosen face.

    Attributes:
        side: side of the face's crop in pixels.
        turned: angle between the face's direction and the camera, in degrees.
        trust: how well the mesh fits the face, 0..1.
        strength: highest value of the swapper's mask, 0..1; below 1 the swap is faded.
        faded: why it is faded; None if it is not.
        covered: shares of the mask that are left out as something covers the face.
        visible: False if the output shows the face unchanged.
    """

    side: int
    turned: float
    trust: float
    strength: float
    faded: FadeReason | None
    covered: Coverage
    visible: bool

    @classmethod
    def of(cls, swapped: SwappedFace, side: int) -> SwapRecord:
        """Record a swapped face."""
        fit, covered = swapped.fit, swapped.covered
        faded: FadeReason | None = None
        if swapped.strength < _FADED:
            faded = "turned away" if fit.turn_limits else "poor mesh"
        return cls(
            side=side,
            turned=round(fit.turned, 1),
            trust=round(fit.trust, 3),
            strength=round(swapped.strength, 3),
            faded=faded,
            covered=Coverage(
                round(covered.occluder, 3), round(covered.face, 3), round(covered.hand, 3)
            ),
            visible=swapped.visible,
        )


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """Decision about a face of a frame.

    Attributes:
        track: number of its track; None in a still picture.
        box: left, top, right and bottom, in pixels of the picture as displayed.
        score: score of the detector, 0..1.
        distance: distance to the nearest reference; None if none was measured.
        chosen: whether it is to be swapped.
        reason: why.
        role: name of the role that a cast gives it; None if it gives none.
        swap: how far the swap shows; None if it was not chosen.
    """

    track: int | None
    box: tuple[float, float, float, float]
    score: float
    distance: float | None
    chosen: bool
    reason: Decision | CastReason
    swap: SwapRecord | None = None
    role: str | None = None

    @classmethod
    def of(
        cls,
        face: Face,
        reason: Decision | CastReason,
        distance: float | None,
        *,
        chosen: bool,
        role: str | None = None,
    ) -> FaceRecord:
        """Record a face before it is swapped."""
        box = face.box
        return cls(
            track=face.track,
            box=(
                round(box.left, 2),
                round(box.top, 2),
                round(box.right, 2),
                round(box.bottom, 2),
            ),
            score=round(face.score, 4),
            distance=None if distance is None else round(distance, 4),
            chosen=chosen,
            reason=reason,
            role=role,
        )


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """Decisions about a frame: one line of a trace.

    Attributes:
        version: version of the line.
        frame: number of the frame in the output; 1 is the first.
        pts: its time in the target, in units of the target's time base.
        seconds: the same in seconds after the target's first frame.
        cut: whether a new shot begins with it.
        hands: number of hands near chosen faces.
        faces: the faces, best score first.
    """

    version: int
    frame: int
    pts: int
    seconds: float
    cut: bool
    hands: int
    faces: tuple[FaceRecord, ...]


Write: TypeAlias = Callable[[FrameRecord], None]


def write_nothing(record: FrameRecord) -> None:
    """Do nothing; the default for a trace."""


def seconds_of(frame: Frame, origin: int) -> float:
    """Return the time of a frame in seconds after the one with the pts `origin`."""
    return round(float((frame.pts - origin) * frame.time_base), 6)


def clock(seconds: float) -> str:
    """Return a time as HH:MM:SS.mmm."""
    thousandths = round(seconds * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def describe(face: FaceRecord) -> str:
    """Describe in a line what was decided about a face."""
    box = face.box
    decision = face.reason if face.role is None else f"{face.role}, {face.reason}"
    if not face.chosen:
        decision = f"kept, {decision}"
    words = [
        f"face at {box[0]:.0f},{box[1]:.0f} to {box[2]:.0f},{box[3]:.0f}: {decision}",
        f"score {face.score:.2f}",
    ]
    if face.distance is not None:
        words.append(f"distance {face.distance:.2f}")
    if face.swap is not None:
        words.append(f"crop of {face.swap.side} pixels")
        words += [] if face.swap.faded is None else [f"faded: {face.swap.faded}"]
    return ", ".join(words)


@contextmanager
def trace_file(path: Path | None, *, overwrite: bool) -> Iterator[Write]:
    """Yield a function that writes records to a trace, a line each; None writes nothing.

    The file appears when the block ends without an exception.

    Raises:
        MediaError: The file cannot be written.
        OutputExists: It exists, and `overwrite` is False.
    """
    if path is None:
        yield write_nothing
        return
    with partial_output(path, overwrite=overwrite) as scratch:
        with _explained(path):
            file = scratch.open("w", encoding="utf-8")

        def write(record: FrameRecord) -> None:
            with _explained(path):
                file.write(json.dumps(asdict(record), separators=(",", ":")) + "\n")

        try:
            yield write
        except BaseException:
            with suppress(OSError):
                file.close()
            raise
        with _explained(path):
            file.close()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(path, error) from error
