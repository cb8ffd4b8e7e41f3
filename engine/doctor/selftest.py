"""Make a tiny swap from end to end, step by step, to tell whether a machine can do its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from engine.api import Engine
from engine.doctor.figure import SIDE, drawn_face
from engine.errors import EngineError
from engine.jobs.process import Tell
from engine.media.still import write_image
from engine.media.trial_clip import read_contents, write_clip
from engine.pixels.planes import as_frame
from engine.runtime.session import Session, TensorSpec
from engine.weights.weight_store import WeightStore

FRAMES: Final = 3
_FACE, _CLIP, _SWAPPED = "face.png", "clip.mp4", "swapped.mp4"
_FREE = 128  # pixels along a dimension that a network leaves free


class TrialFailed(EngineError):
    """A step ended without an error, but not with what it must give."""


def steps(_given: None, _tell: Tell) -> list[str]:
    """Return the names of the steps, in order, as a `TaskProcess` calls it."""
    return list(_STEPS)


def attempt(given: Mapping[str, str], _tell: Tell) -> str:
    """Do the step that `given` names, as a `TaskProcess` calls it; return what it did, in words.

    Each step takes what those before it left in the folder that `given` names.

    Raises:
        TrialFailed: The step did not give what it must.
    """
    return _STEPS[given["step"]](Path(given["folder"]))


def _encode(folder: Path) -> str:
    picture = drawn_face()
    write_image(as_frame(picture), folder / _FACE)
    write_clip(folder / _CLIP, [picture] * FRAMES)
    return f"a PNG, and {FRAMES} frames of {SIDE}x{SIDE} as H.264 with sound as AAC"


def _decode(folder: Path) -> str:
    return f"{_whole(folder / _CLIP)} samples of sound and {FRAMES} frames"


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
            face_selector_age_start=1,  # so that ages are read, too
        )
    if report.faces_swapped != FRAMES:
        raise TrialFailed(f"{report.faces_swapped} of {FRAMES} faces were swapped.")
    if (samples := _whole(folder / _SWAPPED)) != _whole(folder / _CLIP):
        raise TrialFailed(f"The output has {samples} samples of sound, and not the clip's.")
    return f"{FRAMES} faces in {FRAMES} frames on {report.setup.device}, with their sound"


# In the order in which they are done.
_STEPS: Final[Mapping[str, Callable[[Path], str]]] = {
    "encode": _encode,
    "decode": _decode,
    "networks": _networks,
    "swap": _swap,
}


def _whole(clip: Path) -> int:
    """The samples of sound of a clip that has all of its frames.

    Raises:
        TrialFailed: it has another number of frames, or no sound.
    """
    found = read_contents(clip)
    if found.pictures != FRAMES or not found.samples:
        raise TrialFailed(
            f"{clip.name} gave {found.pictures} of {FRAMES} frames and {found.samples} samples of "
            "sound."
        )
    return found.samples


def _shape(spec: TensorSpec) -> tuple[int, ...]:
    first, *others = (size or 0 for size in spec.shape)
    return (first or 1, *(size or _FREE for size in others))
