"""The demo: makes a film of one synthetic person, and swaps another one's face into it.

Writes first.png, a single swapped picture, within seconds; then target.mp4, swapped.mp4 and
before_after.png.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from melody import RATE as SAMPLE_RATE
from melody import melody
from numpy.typing import NDArray
from people import Person, person, read
from talking_head import SIZE, Beat, film, poses

import engine
from engine.cli import streams
from engine.errors import NoFaceFound
from engine.faces.analyser import FaceAnalyser
from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork
from engine.faces.yunet import YuNet
from engine.media.decode import read_frames
from engine.media.os_errors import media_url
from engine.options import AnalysisOptions
from engine.pixels.planes import region_bytes
from engine.runtime.session import Session
from engine.values import Bytes, Colour, Frame, PixelFormat, Points, Rect
from engine.weights.weight_store import WeightStore

ROOT = Path(__file__).resolve().parents[1]
ACTOR, SOURCE = "P006", "P008"
FRAME_RATE = 25
# Expressions of a frontal head; the film turns the head itself.
SCRIPT = (
    Beat("neutral", 0, 0.48),
    Beat("happy", 0.44, 0.52),
    Beat("flirty", 0.36, 0.24),
    Beat("surprised", 0.44, 0.32),
    Beat("pensive", 0.4, 0.24),
    Beat("angry", 0.4, 0.28),
    Beat("playful", 0.44, 0.36),
    Beat("sad", 0.44, 0.28),
    Beat("shocked", 0.44, 0.32),
    Beat("determined", 0.44, 0.2),
    Beat("smug", 0.44, 0.32),
    Beat("neutral", 0.36, 0.2),
)
# BT.709 for matrix, primaries and transfer (ITU-T H.273).
BT709 = 1


def meshes(pictures: dict[str, Bytes]) -> dict[str, Points]:
    """The dense landmarks of the face in each picture.

    Raises:
        NoFaceFound: a picture shows none.
    """
    store = WeightStore()
    analyser = FaceAnalyser(
        YuNet(Session(store.path("yunet"))),
        FallbackMeshNetwork(
            FaceMeshNetwork(Session(store.path("face_mesh_478"))),
            FaceMeshNetwork(Session(store.path("face_mesh"))),
        ),
        None,
        None,
        AnalysisOptions(),
    )
    found = {}
    for name, picture in pictures.items():
        planes = tuple(np.ascontiguousarray(picture[..., channel]) for channel in range(3))
        frame = Frame(
            0,
            0,
            Fraction(1, FRAME_RATE),
            planes,
            PixelFormat("gbrp", "rgb", 8),
            Colour(matrix="rgb", full_range=True),
        )
        faces = analyser.analyse_picture(frame)
        if not faces:
            raise NoFaceFound(f"The expression {name} shows no face.")
        found[name] = max(faces, key=lambda face: face.box.area).mesh.points
    return found


def make_target(actor: Person, output: Path, *, frames: int | None = None) -> None:
    """Write the film of the actor's expressions, or its first frames: H.264 with AAC sound."""
    cells = actor.expressions()
    wanted = {beat.expression: cells[beat.expression] for beat in SCRIPT}
    height, width = wanted["neutral"].shape[:2]
    pictures = {
        name: cv2.resize(cell, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
        for name, cell in wanted.items()
    }
    whole = sum(round(part * FRAME_RATE) for b in SCRIPT for part in (b.travel, b.stay))
    count = whole if frames is None else min(frames, whole)
    made = film(poses(pictures, meshes(pictures)), SCRIPT, FRAME_RATE)
    with closing(made):
        write(output, counted(islice(made, count), count), melody(count / FRAME_RATE))


def counted(pictures: Iterable[Bytes], total: int) -> Iterator[Bytes]:
    """Pass pictures on and show how many there were."""
    for done, picture in enumerate(pictures, 1):
        yield picture
        show("making frames", done, total)


def show(stage: str, done: int, total: int | None) -> None:
    """Show a stage: on a terminal always on the same line, elsewhere every fiftieth frame."""
    ended = done > 0 and done == total
    words = f"  {stage}" + (f": {done} of {total}" if done else "")
    if sys.stdout.isatty():
        print(f"\r\033[K{words}", end="\n" if ended else "", flush=True)
    elif ended or done % 50 == 0:
        print(words, flush=True)


def write(output: Path, pictures: Iterable[Bytes], sound: NDArray[np.float32]) -> None:
    """RGB pictures and stereo samples (2, n) as a film."""
    with av.open(media_url(output), "w") as container:
        video = container.add_stream("libx264", FRAME_RATE, options={"crf": "18"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        context = video.codec_context
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = ColorRange.MPEG
        audio = container.add_stream("aac", SAMPLE_RATE, layout="stereo")
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            ready = frame.reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
            )
            container.mux(video.encode(ready))
        container.mux(video.encode(None))
        samples = av.AudioFrame.from_ndarray(sound, format="fltp", layout="stereo")
        samples.sample_rate = SAMPLE_RATE
        samples.pts = 0
        container.mux(audio.encode(samples))
        container.mux(audio.encode(None))


def stills(path: Path, numbers: set[int]) -> list[Bytes]:
    """The middle squares of single pictures of a film, as RGB."""
    width, height = SIZE
    square = Rect((width - height) // 2, 0, (width + height) // 2, height)
    return [region_bytes(frame, square) for frame in read_frames(path) if frame.index in numbers]


def before_after(source: Path, target: Path, swapped: Path, output: Path) -> None:
    """The source, and under each other pictures of the target and of what became of them."""
    count = sum(1 for _ in read_frames(target))
    numbers = {round(count * share) for share in (0.02, 0.09, 0.31, 0.56)}
    rows = [np.hstack(stills(path, numbers)) for path in (target, swapped)]
    sheet = cv2.resize(np.vstack(rows), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    side = sheet.shape[0]
    portrait = cv2.resize(read(source), (side, side), interpolation=cv2.INTER_AREA)
    picture = cv2.cvtColor(np.hstack([portrait, sheet]), cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(output), picture):
        raise OSError(f"{output} cannot be written.")


def main() -> None:
    streams.guard()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=ROOT / "demo-output", help="folder")
    parser.add_argument("--actor", default=ACTOR, help="the person in the film, P001 to P010")
    parser.add_argument("--source", default=SOURCE, help="the person whose face goes in")
    choices = parser.parse_args()
    folder: Path = choices.output
    folder.mkdir(parents=True, exist_ok=True)
    target, swapped = folder / "target.mp4", folder / "swapped.mp4"
    source = person(choices.source).portrait

    first = folder / "first.png"
    actor = person(choices.actor)
    with engine.Engine() as swapper:
        print(f"Swapping the face of {choices.source} into one picture of {choices.actor} ...")
        report = swapper.swap(source, actor.portrait, first, overwrite=True)
        print(f"  {first} ({report.seconds:.0f} s)")
        started = time.perf_counter()
        print(f"Making a film of {choices.actor}, a synthetic person, from twelve expressions ...")
        make_target(actor, target)
        print(f"  {target} ({time.perf_counter() - started:.0f} s)")
        print(f"Swapping in the face of {choices.source}, another synthetic person ...")
        report = swapper.swap(
            source,
            target,
            swapped,
            overwrite=True,
            observe=lambda at: show(at.stage, at.done, at.total),
        )
    print(f"  {swapped} ({report.seconds:.0f} s)")
    print(
        f"  {report.faces_swapped} faces in {report.frames} frames by the swapper "
        f"{report.setup.swapper.name} on {report.setup.device}, "
        f"{report.frames / report.seconds:.1f} frames a second"
    )
    for warning in report.warnings:
        print(f"  {warning}")
    picture = folder / "before_after.png"
    before_after(source, target, swapped, picture)
    print(f"Before and after, side by side:\n  {picture}")


if __name__ == "__main__":
    main()
