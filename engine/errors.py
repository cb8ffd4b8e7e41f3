"""What can go wrong, as one tree.

EngineError                     anything this engine raises on purpose; the command exits with its `exit_code`
├── ParameterError              (ValueError) a parameter is unknown, of the wrong type or out of range   exit 2
├── MediaError                  (OSError) a media file cannot be read or written                         exit 3
│   └── OutputExists            (FileExistsError) the output is there and overwriting was not asked for  exit 3
├── NoFaceFound                 (LookupError) a picture that must show a face shows none                 exit 4
├── WeightsError                a weight file cannot be used                                            exit 5
│   ├── WeightsMissing          (FileNotFoundError) it is not there
│   └── WeightsCorrupt          (ValueError) its sha256 is not the manifest's
├── RuntimeUnavailable          (RuntimeError) ONNX Runtime or the wanted provider cannot run            exit 6
├── ContentBlocked              (PermissionError) the content check refused the material                exit 7
└── Cancelled                   (InterruptedError) the observer asked to stop                           exit 130

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


class Cancelled(EngineError, InterruptedError):
    """The observer asked to stop; nothing was left half-written."""

    exit_code = 130
