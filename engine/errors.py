"""The errors of the engine, as one tree.

EngineError (1)               base of all errors that this engine raises
├── ParameterError (2)        ValueError: a parameter is unknown, of the wrong type or out of range
├── MediaError (3)            OSError: a media file cannot be read or written
│   └── OutputExists (3)      FileExistsError: the output exists and overwrite is False
├── NoFaceFound (4)           LookupError: no face was found where one is needed
│   └── SourceUnfit (4)       the source's face is hidden or blurred, or a clip shows several people
├── WeightsError (5)          a weight file cannot be used
│   ├── WeightsMissing (5)    FileNotFoundError: the file does not exist
│   └── WeightsCorrupt (5)    ValueError: the file's sha256 is not the manifest's
├── RuntimeUnavailable (6)    RuntimeError: ONNX Runtime or the provider cannot run
├── ContentBlocked (7)        the content check refused the material
├── JobError (8)              a job cannot be submitted, found or run
│   ├── JobNotFound (8)       LookupError: no job has that id, or it was removed
│   ├── QueueFull (8)         the queue, or the store, is full
│   ├── LeaseLost (8)         the worker's lease on the job has expired
│   └── ProcessDied (8)       the process that ran the job crashed or was killed
└── Cancelled (130)           the observer asked to stop

The number is the command's exit code; the builtin named is a second base class.
Every message is one or two sentences: what is wrong, the value, and the remedy.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors that this engine raises."""

    exit_code = 1


class ParameterError(EngineError, ValueError):
    """A parameter is unknown, of the wrong type or out of range."""

    exit_code = 2


class MediaError(EngineError, OSError):
    """A media file cannot be read or written."""

    exit_code = 3


class OutputExists(MediaError, FileExistsError):
    """The output exists and `overwrite` is False."""


class NoFaceFound(EngineError, LookupError):
    """No face was found where one is needed, or none that the selection accepts."""

    exit_code = 4


class SourceUnfit(NoFaceFound):
    """The source's face is partly hidden, or a source clip shows several people."""


class WeightsError(EngineError):
    """A weight file cannot be used."""

    exit_code = 5


class WeightsMissing(WeightsError, FileNotFoundError):
    """A weight file does not exist."""


class WeightsCorrupt(WeightsError, ValueError):
    """A weight file's sha256 is not the one in the manifest."""


class RuntimeUnavailable(EngineError, RuntimeError):
    """ONNX Runtime is missing or installed twice, or the provider cannot run."""

    exit_code = 6


class ContentBlocked(EngineError):
    """The content check refused the material."""

    exit_code = 7


class JobError(EngineError):
    """A job cannot be submitted, found or run."""

    exit_code = 8


class JobNotFound(JobError, LookupError):
    """No job has that id, or it finished so long ago that it was removed."""


class QueueFull(JobError):
    """The queue, or the store of the jobs, is full; try again later."""


class LeaseLost(JobError):
    """The worker's lease on the job has expired; another worker may run it."""


class ProcessDied(JobError):
    """The process that ran a job crashed or was killed."""


class Cancelled(EngineError):
    """The observer asked to stop; no partial output was left."""

    exit_code = 130
