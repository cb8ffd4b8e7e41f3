"""An offline face-swap engine.

`engine.swap` swaps once; an `engine.Engine` keeps its networks loaded for many swaps. A script
written for the hosted API runs with `import engine as segmind`. What is heavy is imported when it
is first asked for, so `import engine` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from engine.errors import (
    Cancelled,
    ContentBlocked,
    EngineError,
    MediaError,
    NoFaceFound,
    ParameterError,
    RuntimeUnavailable,
    WeightsError,
)
from engine.version import VERSION

if TYPE_CHECKING:
    from engine.app import Engine, swap
    from engine.client import (
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
    "SwapParameters",
    "SwapReport",
    "WeightsError",
    "run",
    "run_sync",
    "submit_async",
    "swap",
]

__version__: Final = VERSION

_HOMES: Final = {
    "AsyncJob": "engine.client",
    "Engine": "engine.app",
    "InferenceFailed": "engine.client",
    "InferenceTimeout": "engine.client",
    "SegmindClient": "engine.client",
    "SegmindError": "engine.client",
    "SwapParameters": "engine.parameters",
    "SwapReport": "engine.pipeline.report",
    "run": "engine.client",
    "run_sync": "engine.client",
    "submit_async": "engine.client",
    "swap": "engine.app",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
