"""Self-test of an installation: a tiny swap from end to end, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from engine.api import Engine
from engine.doctor.synthetic_face import SIDE, draw_synthetic_face
from engine.errors import EngineError
from engine.jobs.process import ReportProgress
from engine.media.still import write_image
from engine.media.trial_clip import read_contents, write_clip
from engine.pixels.planes import as_frame
from engine.runtime.session import Session, TensorSpec
from engine.weights.weight_store import WeightStore

FRAMES: Final = 3
_FACE, _CLIP, _SWAPPED = "face.png", "clip.mp4", "swapped.mp4"
_DYNAMIC_SIZE = 128  # pixels along a dynamic axis of a network's input


class SelfTestFailed(EngineError):
    """A step raised no error, but its result is wrong."""


def list_steps(_argument: None, _report: ReportProgress) -> list[str]:
    """Return the names of the steps in order; a task of a `TaskProcess`."""
    return list(_STEPS)


def run_step(argument: Mapping[str, str], _report: ReportProgress) -> str:
    """Run a step and describe its result; a task of a `TaskProcess`.

    Args:
        argument: name of the "step", and the "folder" with the files of earlier steps.

    Raises:
        SelfTestFailed: The result of the step is wrong.
    """
    return _STEPS[argument["step"]](Path(argument["folder"]))


def _encode(folder: Path) -> str:
    picture = draw_synthetic_face()
    write_image(as_frame(picture), folder / _FACE)
    write_clip(folder / _CLIP, [picture] * FRAMES)
    return f"a PNG, and {FRAMES} frames of {SIDE}x{SIDE} as H.264 with sound as AAC"


def _decode(folder: Path) -> str:
    return f"{_count_samples(folder / _CLIP)} samples of sound and {FRAMES} frames"


def _networks(_folder: Path) -> str:
    store = WeightStore()
    names = [weight.name for weight in store.weights() if weight.pack == "embedded"]
    for name in names:
        session = Session(store.path(name))
        session.run(*(np.zeros(_shape(spec), np.float32) for spec in session.inputs))
    return f"{', '.join(names)} ran"


def _swap(folder: Path) -> str:
    with Engine() as engine:
        report = engine.swap(
            *(folder / _FACE, folder / _CLIP, folder / _SWAPPED),
            swapper="mesh",
            detector="yunet",
            embedder="sface",
            face_selector_age_start=1,  # so that the age network runs, too
        )
    if report.faces_swapped != FRAMES:
        raise SelfTestFailed(f"{report.faces_swapped} of {FRAMES} faces were swapped.")
    expected = _count_samples(folder / _CLIP)
    if (samples := _count_samples(folder / _SWAPPED)) != expected:
        raise SelfTestFailed(f"The output has {samples} samples of sound in place of {expected}.")
    return f"{FRAMES} faces in {FRAMES} frames on {report.setup.device}, with their sound"


# In the order of their execution.
_STEPS: Final[Mapping[str, Callable[[Path], str]]] = {
    "encode": _encode,
    "decode": _decode,
    "networks": _networks,
    "swap": _swap,
}


def _count_samples(clip: Path) -> int:
    """Decode a clip and return its number of samples of sound.

    Raises:
        SelfTestFailed: The clip has a wrong number of frames, or no sound.
    """
    found = read_contents(clip)
    if found.pictures != FRAMES or not found.samples:
        raise SelfTestFailed(
            f"{clip.name} has {found.pictures} of {FRAMES} frames and {found.samples} samples of "
            "sound."
        )
    return found.samples


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    first, *others = (size or 0 for size in spec.shape)
    return (first or 1, *(size or _DYNAMIC_SIZE for size in others))
