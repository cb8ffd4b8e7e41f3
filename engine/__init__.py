"""An offline face-swap engine.

`engine.swap` swaps once; an `engine.Engine` keeps its networks loaded for many swaps. What is
heavy is imported when it is first asked for, so `import engine` is quick.
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
    from engine.parameters import SwapParameters
    from engine.pipeline.report import SwapReport

__all__ = [
    "Cancelled",
    "ContentBlocked",
    "Engine",
    "EngineError",
    "MediaError",
    "NoFaceFound",
    "ParameterError",
    "RuntimeUnavailable",
    "SwapParameters",
    "SwapReport",
    "WeightsError",
    "swap",
]

__version__: Final = VERSION

_HOMES: Final = {
    "Engine": "engine.app",
    "SwapParameters": "engine.parameters",
    "SwapReport": "engine.pipeline.report",
    "swap": "engine.app",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
