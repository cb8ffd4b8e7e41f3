"""An offline face-swap engine.

`engine.swap` swaps once; an `engine.Engine` keeps its networks loaded for many swaps. A script
written for the hosted API runs with `import engine as segmind`. Everything is imported when it is
first asked for, so `import engine` is quick, and the command can heed signals at once.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; the module typing would take longer than all else
if TYPE_CHECKING:
    from typing import Any, Final

    from engine.api import Engine, swap
    from engine.errors import (
        Cancelled,
        ContentBlocked,
        EngineError,
        MediaError,
        NoFaceFound,
        ParameterError,
        RuntimeUnavailable,
        SourceUnfit,
        WeightsError,
    )
    from engine.hosted.client import (
        AsyncJob,
        InferenceFailed,
        InferenceTimeout,
        SegmindClient,
        SegmindError,
        run,
        run_sync,
        submit_async,
    )
    from engine.parameters import SwapParameters
    from engine.pipeline.report import SwapReport

    __version__: str

__all__ = [
    "AsyncJob",
    "Cancelled",
    "ContentBlocked",
    "Engine",
    "EngineError",
    "InferenceFailed",
    "InferenceTimeout",
    "MediaError",
    "NoFaceFound",
    "ParameterError",
    "RuntimeUnavailable",
    "SegmindClient",
    "SegmindError",
    "SourceUnfit",
    "SwapParameters",
    "SwapReport",
    "WeightsError",
    "run",
    "run_sync",
    "submit_async",
    "swap",
]

_HOMES: Final = {
    "AsyncJob": "engine.hosted.client",
    "Cancelled": "engine.errors",
    "ContentBlocked": "engine.errors",
    "Engine": "engine.api",
    "EngineError": "engine.errors",
    "InferenceFailed": "engine.hosted.client",
    "InferenceTimeout": "engine.hosted.client",
    "MediaError": "engine.errors",
    "NoFaceFound": "engine.errors",
    "SourceUnfit": "engine.errors",
    "ParameterError": "engine.errors",
    "RuntimeUnavailable": "engine.errors",
    "SegmindClient": "engine.hosted.client",
    "SegmindError": "engine.hosted.client",
    "SwapParameters": "engine.parameters",
    "SwapReport": "engine.pipeline.report",
    "WeightsError": "engine.errors",
    "run": "engine.hosted.client",
    "run_sync": "engine.hosted.client",
    "submit_async": "engine.hosted.client",
    "swap": "engine.api",
}


def __getattr__(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - as all else

    if name == "__version__":
        return import_module("engine.version").VERSION
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
