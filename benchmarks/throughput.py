"""Compare the time of a swap with that of a plain transcode of the same clip.

Both read and write with the engine's own reader and writer and the same encoder settings, so the
transcode is the swap without its face work. They run in turn, as pairs, so that a machine that
slows down slows both. Writes benchmarks/results/throughput.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import kit
import numpy as np
from kit import OUT

from engine import Engine
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.probe import probe
from engine.options import EncodeOptions
from engine.weights.weight_store import WeightStore

SOURCE = "P008"


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds by the clock, and seconds of all this process's threads on processors."""

    seconds: float
    processor: float


class Timer:
    """Measures from its making."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def read(self) -> Spent:
        clock, processor = self._started
        return Spent(time.perf_counter() - clock, time.process_time() - processor)


@dataclass(frozen=True, slots=True)
class Pair:
    """A transcode and the swap that followed it, and the seconds of work of the swap's stages."""

    transcode: Spent
    swap: Spent
    stages: dict[str, float]

    @property
    def ratio(self) -> float:
        return self.swap.seconds / self.transcode.seconds

    @property
    def processor_ratio(self) -> float:
        return self.swap.processor / self.transcode.processor


def transcode(clip: Path, output: Path) -> None:
    """Read and write every frame as it is."""
    write_video(read_frames(clip), output, like=clip, options=EncodeOptions(), overwrite=True)


def pairs(
    engine: Engine, source: Path, clip: Path, count: int, parameters: dict[str, Any]
) -> list[Pair]:
    """Interleaved measurements, after one of each that does not count."""
    with tempfile.TemporaryDirectory() as folder:
        plain, swapped = Path(folder) / f"plain{clip.suffix}", Path(folder) / f"swap{clip.suffix}"
        done = []
        for number in range(count + 1):
            timer = Timer()
            transcode(clip, plain)
            plainly = timer.read()
            timer = Timer()
            report = engine.swap(source, clip, swapped, overwrite=True, **parameters)
            pair = Pair(plainly, timer.read(), asdict(report.stage_seconds))
            print(
                f"transcode {plainly.seconds:.2f} s, swap {pair.swap.seconds:.2f} s, "
                f"{pair.ratio:.2f}, of processor time {pair.processor_ratio:.2f}"
                f"{'' if number else ' (warming up, not counted)'}",
                flush=True,
            )
            if number:
                done.append(pair)
        return done


def summary(measured: list[Pair]) -> dict[str, Any]:
    """Medians, the ratios' spread, and what share of all stages' work each stage is."""
    ratios = sorted(pair.ratio for pair in measured)
    stages = {
        name: statistics.median(pair.stages[name] for pair in measured)
        for name in measured[0].stages
    }
    whole = sum(stages.values())
    return {
        "pairs": len(measured),
        "transcode_seconds": statistics.median(pair.transcode.seconds for pair in measured),
        "swap_seconds": statistics.median(pair.swap.seconds for pair in measured),
        "ratio_min": ratios[0],
        "ratio_median": statistics.median(ratios),
        "ratio_max": ratios[-1],
        "processor_ratio_median": statistics.median(pair.processor_ratio for pair in measured),
        "stage_seconds": stages,
        "stage_shares": {name: seconds / whole for name, seconds in stages.items()},
    }


def markdown(result: dict[str, Any]) -> str:
    clip, found = result["clip"], result["summary"]
    width, height = clip["size"]
    described = (
        f"{clip['name']}: {clip['frames']} frames of {width}x{height}, {clip['codec']}. "
        f"Swapper {result['swapper']} at {result['precision']}, device {result['device']}."
    )
    spread = f"{found['ratio_min']:.2f} to {found['ratio_max']:.2f}"
    lines = [
        "# Throughput",
        "",
        described,
        "",
        kit.machine_line(),
        "",
        "| measure | value |",
        "| --- | ---: |",
        f"| pairs | {found['pairs']} |",
        f"| plain transcode, median seconds | {found['transcode_seconds']:.2f} |",
        f"| swap, median seconds | {found['swap_seconds']:.2f} |",
        f"| swap, frames a second | {clip['frames'] / found['swap_seconds']:.1f} |",
        f"| swap over transcode, median | {found['ratio_median']:.2f} |",
        f"| swap over transcode, min to max | {spread} |",
        f"| the same of processor time, median | {found['processor_ratio_median']:.2f} |",
        "",
        "| stage | seconds of work | share |",
        "| --- | ---: | ---: |",
    ]
    lines += [
        f"| {name} | {seconds:.2f} | {found['stage_shares'][name]:.0%} |"
        for name, seconds in found["stage_seconds"].items()
    ]
    return "\n".join(lines) + "\n"


def demo_clip(frames: int | None = None) -> Path:
    """Return the demo's film or its first frames, made once: 720p, one face."""
    import demo_film  # noqa: PLC0415 - found through kit's path
    import people  # noqa: PLC0415

    clip = OUT / f"throughput{'' if frames is None else f'-{frames}'}.mp4"
    if not clip.is_file():
        OUT.mkdir(parents=True, exist_ok=True)
        actor = people.person(demo_film.ACTOR)
        demo_film.make_target(actor, clip, frames=frames, options={"crf": "18"})
    return clip


def replica_store(narrow: int) -> WeightStore:
    """Return the embedded weights, and `swapper.py`'s replica in inswapper_128's place.

    Its embedder is a stand-in that costs nothing: it reads the source alone.
    """
    # onnx and the tests' stand-ins are needed by this alone.
    import onnx  # noqa: PLC0415
    import swapper  # noqa: PLC0415

    from tests.swappers import stand_ins  # noqa: PLC0415

    def write(path: Path) -> None:
        model, _, _ = swapper.replica(narrow)
        emap = np.eye(512, dtype=np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(emap, "emap"))
        onnx.save(model, path)

    folder = OUT / f"replica-{narrow}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return stand_ins.inswapper(folder, write)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--clip", type=Path, help="target (default: the demo's film, 720p, one face)"
    )
    parser.add_argument("--source", type=Path, help="picture of the face to put in")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--pixel-boost", default="384x384")
    parser.add_argument("--mode", default="reference", help="face_selector_mode")
    parser.add_argument("--frames", type=int, help="of the demo's film (default: all)")
    parser.add_argument("--device", default="auto", help="as the engine's (default: auto)")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "fp16"])
    parser.add_argument(
        "--swapper",
        default="mesh",
        choices=["mesh", "replica"],
        help="mesh, or a network of inswapper_128's architecture with random weights,\n"
        "which takes (pixel boost / 128)^2 samples of a face in one batch",
    )
    parser.add_argument("--narrow", type=int, default=1, help="divide the replica's channels")
    parser.add_argument("--no-write", action="store_true", help="print only")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    choices = parser.parse_args()
    import people  # noqa: PLC0415 - found through kit's path

    clip = choices.clip or demo_clip(choices.frames)
    source = choices.source or people.person(SOURCE).portrait
    drawn = choices.swapper == "replica"
    parameters = {
        "pixel_boost": choices.pixel_boost,
        "face_selector_mode": choices.mode,
        "precision": choices.precision,
        "swapper": "inswapper_128" if drawn else "mesh",
    }
    store = replica_store(choices.narrow) if drawn else WeightStore()
    with Engine(device=choices.device, weights=store) as engine:
        measured = pairs(engine, source, clip, choices.pairs, parameters)
    info = probe(clip)
    result = {
        "machine": kit.machine(),
        "clip": {
            "name": clip.name,
            "size": info.size,
            "frames": sum(1 for _ in read_frames(clip)),
            "codec": info.codec,
            "format": info.format.name,
        },
        "parameters": parameters,
        "device": choices.device,
        "precision": choices.precision,
        "swapper": choices.swapper,
        "summary": summary(measured),
        "pairs": [asdict(pair) for pair in measured],
    }
    if choices.json:
        choices.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    text = markdown(result)
    print(text)
    if not choices.no_write:
        kit.record("throughput", result, text)


if __name__ == "__main__":
    main()
