"""What can go wrong, as one tree.

EngineError (1)               anything this engine raises on purpose
├── ParameterError (2)        ValueError: a parameter is unknown, of the wrong type or out of range
├── MediaError (3)            OSError: a media file cannot be read or written
│   └── OutputExists (3)      FileExistsError: the output is there, overwriting was not asked for
├── NoFaceFound (4)           LookupError: a picture that must show a face shows none
│   └── SourceUnfit (4)       the source's face is hidden in part, or a clip shows many people
├── WeightsError (5)          a weight file cannot be used
│   ├── WeightsMissing (5)    FileNotFoundError: it is not there
│   └── WeightsCorrupt (5)    ValueError: its sha256 is not the manifest's
├── RuntimeUnavailable (6)    RuntimeError: ONNX Runtime or the wanted provider cannot run
├── ContentBlocked (7)        PermissionError: the content check refused the material
├── JobError (8)              a job cannot be submitted, found or worked at
│   ├── JobNotFound (8)       LookupError: there is none of that id, or it was removed
│   ├── QueueFull (8)         as many jobs wait as may
│   ├── LeaseLost (8)         the job is no longer this worker's
│   └── ProcessDied (8)       the process that did the job crashed or was killed
└── Cancelled (130)           InterruptedError: the observer asked to stop

The number is the command's exit code; the builtin named is a second base class.
Every message is one or two sentences: what is wrong, the value, and the remedy.
"""

from __future__ import annotations


class EngineError(Exception):
    """Anything this engine raises on purpose."""

    exit_code = 1


class ParameterError(EngineError, ValueError):
    """A parameter is unknown, of the wrong type or out of range."""

    exit_code = 2


class MediaError(EngineError, OSError):
    """A media file cannot be read or written."""

    exit_code = 3


class OutputExists(MediaError, FileExistsError):
    """The output is there and overwriting was not asked for."""


class NoFaceFound(EngineError, LookupError):
    """A picture that must show a face shows none, or none that the selection accepts."""

    exit_code = 4


class SourceUnfit(NoFaceFound):
    """A source hides a part of its face that the swap needs, or does not tell whom it shows."""


class WeightsError(EngineError):
    """A weight file cannot be used."""

    exit_code = 5


class WeightsMissing(WeightsError, FileNotFoundError):
    """A weight file is not there."""


class WeightsCorrupt(WeightsError, ValueError):
    """A weight file's sha256 is not the one in the manifest."""


class RuntimeUnavailable(EngineError, RuntimeError):
    """ONNX Runtime is missing or clashes, or the wanted provider cannot run."""

    exit_code = 6


class ContentBlocked(EngineError, PermissionError):
    """The content check refused the material."""

    exit_code = 7


class JobError(EngineError):
    """A job cannot be submitted, found or worked at."""

    exit_code = 8


class JobNotFound(JobError, LookupError):
    """There is no job of that id, or it finished so long ago that it was removed."""


class QueueFull(JobError):
    """As many jobs wait as may; try again later."""


class LeaseLost(JobError):
    """The job is no longer this worker's: its lease lapsed."""


class ProcessDied(JobError):
    """The process that did a job crashed or was killed."""


class Cancelled(EngineError, InterruptedError):
    """The observer asked to stop; nothing was left half-written."""

    exit_code = 130
