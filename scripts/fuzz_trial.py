"""One swap with a damaged file, and what must hold whatever comes of it.

Either the engine refuses with a sentence, and leaves nothing behind; or there is an output that
PyAV or OpenCV opens by themselves, with as many frames as a plain decode of the target gives.
Neither leaves files, descriptors or threads behind, or takes much memory.
"""

from __future__ import annotations

import gc
import re
import shutil
import threading
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import av
import cv2

from engine.api import Engine
from engine.errors import EngineError
from engine.media.pyav import open_input

Role = Literal["target", "source", "reference"]
STILLS = frozenset({".png", ".jpg", ".webp"})
# Words of a program to its programmer, none to its user.
_RAW = re.compile(
    r"Traceback|object has no attribute|NoneType|unexpected keyword|not subscriptable"
    r"|index out of range|<av\.|<class | at 0x[0-9a-f]{6}|unexpected \w+Error|\bbuiltins\b"
)
_LONGEST = 900  # characters of a message
_SPARE = 4  # descriptors and threads that may come and go


@dataclass(frozen=True, slots=True)
class Case:
    """A damaged file and what is done with it; `steps` tell how the seed was damaged."""

    number: int
    seed: str
    steps: tuple[str, ...]
    role: Role
    output: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, read: dict[str, Any]) -> Case:
        return cls(read["number"], read["seed"], tuple(read["steps"]), read["role"], read["output"])


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a case: "swapped" and "refused" are right, all else is a fault."""

    kind: str
    detail: str = ""
    seconds: float = 0.0
    peak_mib: int = 0

    @property
    def right(self) -> bool:
        return self.kind in ("swapped", "refused")


class Trials:
    """Performs cases with one warm engine.

    Args:
        source: an undamaged picture of a face.
        still: an undamaged picture to swap into, where the damaged file is no target.
        folder: holds one case's files at a time.
    """

    def __init__(self, source: Path, still: Path, folder: Path) -> None:
        self._source, self._still, self._folder = source, still, folder
        self._engine = Engine()
        self._held: tuple[int, int] | None = None

    def close(self) -> None:
        self._engine.close()

    def perform(self, case: Case, damaged: bytes) -> Outcome:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        given = self._folder / f"in{Path(case.seed).suffix}"
        given.write_bytes(damaged)
        _forget_peak()
        began = time.perf_counter()
        kind, detail = self._swap(case, given)
        outcome = Outcome(kind, detail, round(time.perf_counter() - began, 3), _peak_mib())
        leaked = self._leaked()
        if outcome.right and leaked:
            return Outcome("leak", leaked, outcome.seconds, outcome.peak_mib)
        return outcome

    def _swap(self, case: Case, given: Path) -> tuple[str, str]:
        output = self._folder / case.output
        source, target = self._source, self._still
        options: dict[str, Any] = {}
        if case.role == "target":
            target = given
        elif case.role == "source":
            source = given
        else:
            options["reference_image"] = [given]
        try:
            report = self._engine.swap(source, target, output, **options)
        except EngineError as error:
            return self._refused(str(error), given)
        except Exception:  # noqa: BLE001 - this is what is looked for
            return "traceback", traceback.format_exc()[-4000:]
        left = self._left(given, output)
        if left:
            return "leftover", left
        fault = _unreadable(output)
        if fault:
            return "unreadable", f"{fault}; the report warns: {' '.join(report.warnings)}"
        if output.suffix not in STILLS:
            plain, got = frames(target), frames(output)
            damage_told = any("frame" in one or "damaged" in one for one in report.warnings)
            if got != plain and not damage_told:
                said = f"the report says {report.frames} and warns: {' '.join(report.warnings)}"
                return "frames", f"{got} frames in the output, {plain} in the target; {said}"
        return "swapped", " ".join(report.warnings)[:300]

    def _refused(self, message: str, given: Path) -> tuple[str, str]:
        left = self._left(given)
        if left:
            return "leftover", f"{left} after: {message}"
        if not message or len(message) > _LONGEST or _RAW.search(message):
            return "unclear", message[:2000]
        return "refused", message[:300]

    def _left(self, *wanted: Path) -> str:
        return ", ".join(
            sorted({path.name for path in self._folder.iterdir()} - {p.name for p in wanted})
        )

    def _leaked(self) -> str:
        """Descriptors and threads beyond those after the first case."""
        gc.collect()
        held = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
        if self._held is None:
            self._held = held
        names = ("file descriptors", "threads")
        grown = [
            f"{now} {name}, {before} before"
            for name, now, before in zip(names, held, self._held, strict=True)
            if now > before + _SPARE
        ]
        if grown:
            self._held = held
        return "; ".join(grown)


def frames(path: Path) -> int:
    """Return how many pictures a plain decode gives: what cannot be decoded is passed over."""
    count = 0
    with open_input(path) as container:
        stream = container.streams.video[0]
        # With more threads, a decoder may drop a frame beside a damaged one.
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.FFmpegError):
                return count
            try:
                count += len(packet.decode())
            except av.FFmpegError:
                continue


def _unreadable(output: Path) -> str:
    """Return the reason why an output cannot be opened, or an empty text."""
    if not output.is_file():
        return "there is no output"
    if output.suffix in STILLS:
        return "" if cv2.imread(str(output), cv2.IMREAD_UNCHANGED) is not None else "no picture"
    try:
        with open_input(output) as container:
            found = sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, IndexError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return "" if found else "it holds no frame"


def _forget_peak() -> None:
    """Start the count of the most memory anew, where the kernel lets us."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def _peak_mib() -> int:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) >> 10
    return 0
