"""Make the film and the pictures in examples/people from the synthetic people of `openpeople`.

They are in the repository, so that the demo and the examples need neither that package nor the
minute that this takes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
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
from progress_line import show
from talking_head import SIZE, Beat, film, poses

from engine.errors import NoFaceFound
from engine.faces.analyser import FaceAnalyser
from engine.faces.mesh import FaceMeshNetwork, FallbackMeshNetwork
from engine.faces.yunet import YuNet
from engine.media.os_errors import media_url
from engine.options import AnalysisOptions
from engine.pixels.planes import as_frame
from engine.runtime.session import Session
from engine.values import Bytes, Points
from engine.weights.weight_store import WeightStore

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "people"
ACTOR, SOURCE = "P006", "P008"
FRAME_RATE = 25
# A small file, and no blocks in the face.
SMALL = {"crf": "24", "preset": "veryslow"}
SIDE = 720  # of the pictures
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
    """Return the dense landmarks of the face in each picture.

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
        faces = analyser.analyse_picture(as_frame(picture))
        if not faces:
            raise NoFaceFound(f"The expression {name} shows no face.")
        found[name] = max(faces, key=lambda face: face.box.area).mesh.points
    return found


def make_target(
    actor: Person,
    output: Path,
    *,
    frames: int | None = None,
    options: Mapping[str, str] = SMALL,
) -> None:
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
        write(output, counted(islice(made, count), count), melody(count / FRAME_RATE), options)


def counted(pictures: Iterable[Bytes], total: int) -> Iterator[Bytes]:
    """Pass pictures on and show how many there were."""
    for done, picture in enumerate(pictures, 1):
        yield picture
        show("making frames", done, total)


def write(
    output: Path,
    pictures: Iterable[Bytes],
    sound: NDArray[np.float32],
    options: Mapping[str, str],
) -> None:
    """Write RGB pictures and stereo samples (2, n) as a film; `options` are those of x264."""
    with av.open(media_url(output), "w") as container:
        video = container.add_stream("libx264", FRAME_RATE, options=dict(options))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder")
    parser.add_argument("--actor", default=ACTOR, help="the person in the film, P001 to P010")
    parser.add_argument("--source", default=SOURCE, help="the person whose face goes in")
    choices = parser.parse_args()
    folder: Path = choices.output
    folder.mkdir(parents=True, exist_ok=True)
    for name, who in (("source", choices.source), ("target", choices.actor)):
        picture = cv2.resize(read(person(who).portrait), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 90])
    make_target(person(choices.actor), folder / "target.mp4")


if __name__ == "__main__":
    main()
