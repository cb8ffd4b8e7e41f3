"""An offline face-swap engine.

`engine.swap` swaps once. An `engine.Engine` keeps its networks loaded for many swaps. A script
written for the hosted API runs with `import engine as segmind`. A name is imported when it is first
used, so that `import engine` is quick and the command handles signals at once.
"""

from __future__ import annotations

TYPE_CHECKING = False  # type checkers take it for that of typing, which is slow to import
if TYPE_CHECKING:
    from typing import Any, Final

    from engine.analysis.film_analysis import FilmAnalysis
    from engine.analysis.people import Person
    from engine.api import Engine, FoundFaces, swap, swap_image
    from engine.errors import (
        Cancelled,
        ContentBlocked,
        EngineError,
        JobError,
        JobNotFound,
        MediaError,
        NoFaceFound,
        OutputExists,
        ParameterError,
        QueueFull,
        RuntimeUnavailable,
        SourceUnfit,
        WeightsCorrupt,
        WeightsError,
        WeightsMissing,
    )
    from engine.executors.executor import Executor
    from engine.executors.processes import Processes
    from engine.executors.ray_cluster import RayCluster
    from engine.hosted.client import (
        AsyncJob,
        InferenceFailed,
        InferenceTimeout,
        Response,
        SegmindClient,
        SegmindError,
        run,
        run_sync,
        submit_async,
    )
    from engine.parameters import SwapKeywords, SwapParameters
    from engine.pipeline.batch import BatchResult, BatchRow
    from engine.pipeline.dry_run import TrackDecision
    from engine.pipeline.int8_calibration import Calibrated
    from engine.pipeline.pictures import PILImage
    from engine.pipeline.prepared_source import PreparedSource
    from engine.pipeline.preview import Preview
    from engine.pipeline.report import SwapReport
    from engine.pipeline.video import Observe, Progress
    from engine.plan.cast import CastKeywords, CorrectionKeywords, RoleKeywords
    from engine.plan.film_plan import Plan, TrackRow
    from engine.swappers.swapper import Swapper
    from engine.values import (
        Aligned,
        Attributes,
        BareFace,
        Box,
        Detection,
        Face,
        Frame,
        Landmarks,
        Mesh,
        Patch,
        Portrait,
        Template,
    )
    from engine.weights.weight_store import WeightStore

    __version__: str

__all__ = [
    "Aligned",
    "AsyncJob",
    "Attributes",
    "BareFace",
    "BatchResult",
    "BatchRow",
    "Box",
    "Calibrated",
    "Cancelled",
    "CastKeywords",
    "ContentBlocked",
    "CorrectionKeywords",
    "Detection",
    "Engine",
    "EngineError",
    "Executor",
    "Face",
    "FilmAnalysis",
    "FoundFaces",
    "Frame",
    "InferenceFailed",
    "InferenceTimeout",
    "JobError",
    "JobNotFound",
    "Landmarks",
    "MediaError",
    "Mesh",
    "NoFaceFound",
    "Observe",
    "OutputExists",
    "PILImage",
    "ParameterError",
    "Patch",
    "Person",
    "Plan",
    "Portrait",
    "PreparedSource",
    "Preview",
    "Processes",
    "Progress",
    "QueueFull",
    "RayCluster",
    "Response",
    "RoleKeywords",
    "RuntimeUnavailable",
    "SegmindClient",
    "SegmindError",
    "SourceUnfit",
    "SwapKeywords",
    "SwapParameters",
    "SwapReport",
    "Swapper",
    "Template",
    "TrackDecision",
    "TrackRow",
    "WeightStore",
    "WeightsCorrupt",
    "WeightsError",
    "WeightsMissing",
    "run",
    "run_sync",
    "submit_async",
    "swap",
    "swap_image",
]

_HOMES: Final = {
    "engine.analysis.film_analysis": ("FilmAnalysis",),
    "engine.analysis.people": ("Person",),
    "engine.api": (
        "Engine",
        "FoundFaces",
        "swap",
        "swap_image",
    ),
    "engine.errors": (
        "Cancelled",
        "ContentBlocked",
        "EngineError",
        "JobError",
        "JobNotFound",
        "MediaError",
        "NoFaceFound",
        "OutputExists",
        "ParameterError",
        "QueueFull",
        "RuntimeUnavailable",
        "SourceUnfit",
        "WeightsCorrupt",
        "WeightsError",
        "WeightsMissing",
    ),
    "engine.executors.executor": ("Executor",),
    "engine.executors.processes": ("Processes",),
    "engine.executors.ray_cluster": ("RayCluster",),
    "engine.hosted.client": (
        "AsyncJob",
        "InferenceFailed",
        "InferenceTimeout",
        "Response",
        "SegmindClient",
        "SegmindError",
        "run",
        "run_sync",
        "submit_async",
    ),
    "engine.parameters": (
        "SwapKeywords",
        "SwapParameters",
    ),
    "engine.pipeline.batch": (
        "BatchResult",
        "BatchRow",
    ),
    "engine.pipeline.int8_calibration": ("Calibrated",),
    "engine.pipeline.pictures": ("PILImage",),
    "engine.pipeline.prepared_source": ("PreparedSource",),
    "engine.pipeline.preview": ("Preview",),
    "engine.pipeline.report": ("SwapReport",),
    "engine.pipeline.video": (
        "Observe",
        "Progress",
    ),
    "engine.pipeline.dry_run": ("TrackDecision",),
    "engine.plan.film_plan": ("Plan", "TrackRow"),
    "engine.plan.cast": ("CastKeywords", "CorrectionKeywords", "RoleKeywords"),
    "engine.swappers.swapper": ("Swapper",),
    "engine.values": (
        "Aligned",
        "Attributes",
        "BareFace",
        "Box",
        "Detection",
        "Face",
        "Frame",
        "Landmarks",
        "Mesh",
        "Patch",
        "Portrait",
        "Template",
    ),
    "engine.weights.weight_store": ("WeightStore",),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415 - as quick as possible

    if name == "__version__":
        return import_module("engine.version").VERSION
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
