"""What came of trials, kept on file so that each is held once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.optimise.validation import RefusedError, UndecidedError
from engine.weights.atomic_files import atomic_replacement, sha256_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sha256 of a file that passed its trial, or "" and the reason why it is not used."""

    sha256: str
    reason: str = ""


def once(file: Path, record: Path, trial: Callable[[], None]) -> Verdict:
    """What came of a trial of `file`, now or at an earlier time; `record` is where it is written.

    The trial may make the file. It is held again where the file is not as it was, and where it was
    undecided: that is not recorded, and neither is what else it raises, which is raised.
    """
    known = recorded(record)
    if known and (not known.sha256 or (file.is_file() and sha256_of(file) == known.sha256)):
        return known
    try:
        trial()
        verdict = Verdict(sha256_of(file))
    except UndecidedError as error:
        return Verdict("", str(error))
    except RefusedError as error:
        verdict = Verdict("", str(error))
    write(record, verdict)
    return verdict


def write(record: Path, verdict: Verdict) -> None:
    """Puts a verdict on file.

    Raises:
        WeightsError: the file cannot be written.
    """
    with atomic_replacement(record) as scratch:
        scratch.write_text(json.dumps(asdict(verdict)) + "\n", "utf-8")


def recorded(record: Path) -> Verdict | None:
    """The verdict on file; None where there is none that can be read: then the work is repeated."""
    try:
        fields = json.loads(record.read_text("utf-8"))
        verdict = Verdict(str(fields["sha256"]), str(fields["reason"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return verdict if verdict.sha256 or verdict.reason else None
