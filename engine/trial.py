"""A tiny swap from end to end, step by step: what tells whether a machine can do its work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from engine.app import Engine
from engine.errors import EngineError
from engine.inspect.figure import SIDE, drawn_face
from engine.inspect.sheet import as_frame
from engine.media.still import write_image
from engine.media.trial import read_contents, write_clip
from engine.runtime.session import Session, TensorSpec
from engine.runtime.weights import WeightStore

FRAMES: Final = 3
_FREE = 128  # pixels along a dimension that a network leaves free


class TrialFailed(EngineError):
    """A step ended without an error, but not with what it must give."""


def steps(folder: Path) -> Iterator[tuple[str, Callable[[], str]]]:
    """The steps by name, in order; each takes what those before it left in `folder`.

    A step answers with what it did, in words.
    """
    face, clip, swapped = folder / "face.png", folder / "clip.mp4", folder / "swapped.mp4"

    def encode() -> str:
        picture = drawn_face()
        write_image(as_frame(picture), face)
        write_clip(clip, [picture] * FRAMES)
        return f"a PNG, and {FRAMES} frames of {SIDE}x{SIDE} as H.264 with sound as AAC"

    def decode() -> str:
        return f"{_whole(clip)} samples of sound and {FRAMES} frames"

    def networks() -> str:
        store = WeightStore()
        names = [weight.name for weight in store.weights() if weight.pack == "embedded"]
        for name in names:
            session = Session(store.path(name))
            session.run(*(np.zeros(_shape(spec), np.float32) for spec in session.inputs))
        return f"{', '.join(names)} ran"

    def swap() -> str:
        with Engine() as engine:
            report = engine.swap(
                *(face, clip, swapped),
                swapper="mesh",
                detector="yunet",
                embedder="sface",
                face_selector_age_start=1,  # so that ages are read, too
            )
        if report.faces_swapped != FRAMES:
            raise TrialFailed(f"{report.faces_swapped} of {FRAMES} faces were swapped.")
        if (samples := _whole(swapped)) != _whole(clip):
            raise TrialFailed(f"The output has {samples} samples of sound, and not the clip's.")
        return f"{FRAMES} faces in {FRAMES} frames on {report.device}, with their sound"

    yield from {
        "encode": encode,
        "decode": decode,
        "networks": networks,
        "swap": swap,
    }.items()


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
