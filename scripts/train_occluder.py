#!/usr/bin/env python3
"""Train the occluder that the engine carries, measure it, and write its graph.

    python scripts/train_occluder.py --check                    # the whole path, in a minute
    python scripts/train_occluder.py train FOLDER --steps 6000  # goes on where it stopped
    python scripts/train_occluder.py export FOLDER weights/occluder_v1.onnx
    python scripts/train_occluder.py evaluate weights/occluder_v1.onnx PICTURES --data FOLDER

FOLDER holds the data that `occluder_faces.py`, `occluder_hands.py` and `occluder_scenes.py` make of
PICTURES, in this order; scenes may be added while the training runs. It gets `checkpoint.pt`. Needs
`torch`, `onnx`, `onnxruntime`, `opencv-python-headless` and the engine, and no accelerator. The
pictures are faces of SelfishGene/SFHQ-T2I-dataset (MIT); see `weights/cards/occluder.md`.
"""

from __future__ import annotations

import argparse
import copy
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import occluder_scenes
import onnxruntime
import torch
from numpy.typing import NDArray
from occluder_canvas import SIDE as PICTURE
from occluder_canvas import Floats, Scene, filled
from occluder_network import INPUT, MEAN, SIDE, STD, Network, answer_of, export
from occluder_objects import hair, hand, hat, mask, thing
from occluder_spectacles import spectacles
from torch import Tensor
from torch.nn import functional

from engine.geometry.mesh_topology import OVAL, face_mesh, frontal_points
from engine.geometry.templates import TEMPLATES

BATCH = 48
RATE = 2e-3
DECAY = 1e-4
WARM_UP = 200  # steps in which the rate rises
AVERAGE = 0.998  # of the weights kept in the running average at each step
SHIFT = 12  # pixels that a picture is cut off the middle at most
CHECKPOINT = "checkpoint.pt"
SCENES = "scenes"
INNER = slice((PICTURE - SIDE) // 2, (PICTURE + SIDE) // 2)  # what the network sees of a picture
_LEAST_PARITY = 2e-2  # largest difference of the graph, whose weights are rounded, from the network


@dataclass
class Training:
    """A network, its running average, and how far it has come."""

    network: Network
    average: Network
    optimiser: torch.optim.Optimizer
    step: int = 0

    @classmethod
    def new(cls) -> Training:
        torch.manual_seed(1)
        network = Network().to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        return cls(network, copy.deepcopy(network).eval(), optimiser)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def save(self, path: Path) -> None:
        scratch = path.with_suffix(".part")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
            },
            scratch,
        )
        scratch.replace(path)

    def advance(self, pictures: Tensor, seen: Tensor, known: Tensor, steps: int) -> float:
        """Take one step of a schedule of `steps`, and return the loss."""
        rate = rate_at(self.step, steps)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.network.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.network(pictures)
        loss = loss_of(logits.float(), seen, known)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 2.0)
        self.optimiser.step()
        self.step += 1
        keep = min(AVERAGE, self.step / (self.step + 20))
        with torch.no_grad():
            own = self.network.state_dict()
            for name, value in self.average.state_dict().items():
                if value.dtype.is_floating_point:
                    value.lerp_(own[name], 1 - keep)
                else:
                    value.copy_(own[name])
        return float(loss.detach())


def rate_at(step: int, steps: int) -> float:
    """Return the learning rate: a short rise, then half a cosine to nearly 0."""
    if step < WARM_UP:
        return RATE * (step + 1) / WARM_UP
    run = min(1.0, (step - WARM_UP) / max(1, steps - WARM_UP))
    return RATE * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * run)))


def loss_of(logits: Tensor, seen: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy weighed by `known`, and one minus Dice of the cover."""
    plain = functional.binary_cross_entropy_with_logits(logits, seen, known, reduction="sum")
    entropy = plain / known.sum().clamp(min=1)
    found = torch.sigmoid(-logits) * known
    cover = (1 - seen) * known
    both = (found * cover).flatten(1).sum(1)
    dice = 1 - (2 * both + 20) / ((found + cover).flatten(1).sum(1) + 20)
    return 2 * entropy + 0.4 * dice.mean()


class Scenes:
    """The training pictures of a folder, looked for anew at each pass."""

    def __init__(self, folder: Path, split: str, seed: int) -> None:
        self.folder, self.split = folder, split
        self.rng = np.random.default_rng(seed)
        self.files: dict[str, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.files.values()))

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Batches (n, PICTURE, PICTURE, 5) without end.

        Raises:
            SystemExit: there is no file of the split.
        """
        while True:
            for path in sorted(self.folder.glob(f"{self.split}_*.npy")):
                if path.name not in self.files:
                    self.files[path.name] = np.load(path, mmap_mode="r")
            if not self.files:
                raise SystemExit(
                    f"{self.folder} has no {self.split}_*.npy; run occluder_scenes.py."
                )
            places = [(file, at) for file in self.files.values() for at in range(len(file))]
            order = self.rng.permutation(len(places))
            for first in range(0, len(order) - BATCH + 1, BATCH):
                yield np.stack([places[k][0][places[k][1]] for k in order[first : first + BATCH]])


def cut(batch: NDArray[np.uint8], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Cut, mirror and recolour a batch at random: pictures, what is seen, what counts."""
    margin = (PICTURE - SIDE) // 2
    tops, lefts = margin + rng.integers(-SHIFT, SHIFT + 1, (2, len(batch)))
    parts = [
        whole[top : top + SIDE, left : left + SIDE]
        for whole, top, left in zip(batch, tops, lefts, strict=True)
    ]
    mirrored = [
        part[:, ::-1] if turn else part
        for part, turn in zip(parts, rng.random(len(parts)) < 0.5, strict=True)
    ]
    pictures, seen, known = tensors(np.stack(mirrored))
    gain = torch.from_numpy(
        rng.uniform(0.75, 1.25, (len(batch), 3, 1, 1)).astype(np.float32) ** np.float32(0.5)
    )
    gain = gain * torch.from_numpy(
        rng.uniform(0.75, 1.25, (len(batch), 1, 1, 1)).astype(np.float32)
    )
    pictures = ((pictures * STD + MEAN) * gain).clamp(0, 255)
    return ((pictures - MEAN) / STD).contiguous(memory_format=torch.channels_last), seen, known


def tensors(batch: NDArray[np.uint8]) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs, targets and weights (n, 1, h, w) of a batch (n, h, w, 5).

    Covers weigh twice what the face does, and the border between them more.
    """
    ring = np.ones((5, 5), np.uint8)
    border = np.stack([cv2.dilate(part, ring) - cv2.erode(part, ring) for part in batch[..., 3]])
    known = batch[..., 4] * (2 - batch[..., 3] / np.float32(255) + border / np.float32(170)) / 255
    pictures = torch.from_numpy(np.ascontiguousarray(batch[..., :3])).permute(0, 3, 1, 2).float()
    seen = torch.from_numpy(batch[..., 3].astype(np.float32) / 255)[:, None]
    weight = torch.from_numpy(known.astype(np.float32))[:, None]
    return (pictures - MEAN) / STD, seen, weight


def train(folder: Path, steps: int) -> Training:
    """Train up to `steps` in all, from the folder's checkpoint where there is one."""
    training = Training.new()
    checkpoint = folder / CHECKPOINT
    if checkpoint.is_file():
        training.load(checkpoint)
    data = Scenes(folder / SCENES, "training", training.step)
    rng = np.random.default_rng(training.step)
    losses: list[float] = []
    began = time.monotonic()
    for batch in data.batches():
        if training.step >= steps:
            break
        losses.append(training.advance(*cut(batch, rng), steps))
        if training.step % 100 == 0:
            pace = len(losses) / (time.monotonic() - began)
            told = f"loss {np.mean(losses[-100:]):.4f}  {pace * BATCH:.0f} a second of {len(data)}"
            print(f"step {training.step}  {told}", flush=True)
        if training.step % 500 == 0:
            training.save(checkpoint)
    training.save(checkpoint)
    return training


# Measuring --------------------------------------------------------------------------------------

Ask = Callable[[Floats], Floats]  # pictures (n, SIDE, SIDE, 3) of 0..1 -> seen (n, SIDE, SIDE)


def session_of(graph: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def graph_input(pictures: Floats) -> Floats:
    return np.ascontiguousarray((pictures * 255 - MEAN) / STD, np.float32).transpose(0, 3, 1, 2)


def asked(graph: Path, threads: int = 1) -> Ask:
    session = session_of(graph, threads)

    def ask(pictures: Floats) -> Floats:
        answers: Floats = session.run(None, {INPUT: graph_input(pictures)})[0]
        return answers[..., 0]

    return ask


def scores(
    found: NDArray[np.bool_], cover: NDArray[np.bool_], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Counts of a picture: both, either; border found, on border; border there, met.

    A border counts as met within two pixels.
    """
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    small = np.ones((3, 3), np.uint8)

    def border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        bits = mask.astype(np.uint8)
        return (bits - cv2.erode(bits, small) > 0) & known

    mine, theirs = border(found), border(cover)
    near_mine = cv2.dilate(mine.astype(np.uint8), disc) > 0
    near_theirs = cv2.dilate(theirs.astype(np.uint8), disc) > 0
    return np.array(
        (
            (found & cover & known).sum(),
            ((found | cover) & known).sum(),
            mine.sum(),
            (mine & near_theirs).sum(),
            theirs.sum(),
            (theirs & near_mine).sum(),
        ),
        np.float64,
    )


def scored(ask: Ask, scene: Scene, known: Floats) -> NDArray[np.float64]:
    """Return the `scores` of a network's answer to a picture, where it is known, on the face."""
    seen = ask(scene.image[None, INNER, INNER])[0]
    on_face = (known > 0.2) & (filled(scene.oval()) > 0.5)
    return scores(seen < 0.5, scene.seen[INNER, INNER] < 0.5, on_face[INNER, INNER])


def composites(ask: Ask, pictures: Path, meshes: Path, count: int) -> Iterator[str]:
    """Measure how well covers on people kept out of training are found, kind by kind."""
    drawn = occluder_scenes.people(pictures, meshes, ["test", "validation"], ["bare"])
    library = occluder_scenes.Library(drawn, drawn[::4])
    kinds: dict[str, Callable[[Scene], None]] = {
        "spectacles": lambda scene: spectacles(scene, sun=False),
        "sunglasses": lambda scene: spectacles(scene, sun=True),
        "hands": hand,
        "masks": mask,
        "hair": hair,
        "objects": thing,
        "hats": hat,
    }
    whole = np.zeros(6)
    for kind, draw in kinds.items():
        total = np.zeros(6)
        for index in range(count):
            rng = np.random.default_rng((77, *map(ord, kind), index))
            total += scored(ask, *library.scene(rng, draw))
        whole += total
        yield _line(kind, total, count)
    yield _line("all", whole, count * len(kinds))


def _line(kind: str, total: NDArray[np.float64], count: int) -> str:
    both, either, mine, mine_right, theirs, theirs_met = total
    precision, recall = mine_right / max(mine, 1), theirs_met / max(theirs, 1)
    score = 2 * precision * recall / max(precision + recall, 1e-9)
    return (
        f"{kind:<11} {count:>5} pictures  IoU {both / max(either, 1):.3f}  "
        f"border F {score:.3f} (precision {precision:.3f}, recall {recall:.3f})"
    )


def false_cover(ask: Ask, pictures: Path, meshes: Path) -> Iterator[str]:
    """Measure the share of bare faces out of training that is taken for covered, by alignment."""
    drawn = occluder_scenes.people(pictures, meshes, ["test", "validation"], ["bare"])
    for template in (occluder_scenes.TEMPLATE, *TEMPLATES):
        shares = {
            person.file.name: _covered(
                ask, *occluder_scenes.crop_of(person, PICTURE, None, template)
            )
            for person in drawn
        }
        values = np.array([*shares.values()])
        yield (
            f"false cover, {template.name:<14} {len(values)} bare faces: mean {values.mean():.2%}, "
            f"median {np.median(values):.2%}, 95th percentile {np.quantile(values, 0.95):.2%}, "
            f"over 5% on {(values > 0.05).sum()}"
        )
        if template is occluder_scenes.TEMPLATE:
            worst = sorted(shares, key=lambda name: -shares[name])[:10]
            yield "  most: " + ", ".join(f"{name} {shares[name]:.1%}" for name in worst)


def _covered(ask: Ask, image: Floats, mesh: Floats) -> float:
    """Return the share of a face's outline that is taken for covered."""
    inside = filled(mesh[list(OVAL), :2])[INNER, INNER] > 0.5
    return float((ask(image[None, INNER, INNER])[0][inside] < 0.5).mean())


def speed(graph: Path, threads: int) -> str:
    session = session_of(graph, threads)
    picture = {INPUT: np.zeros((1, 3, SIDE, SIDE), np.float32)}
    times = []
    for _ in range(120):
        began = time.perf_counter()
        session.run(None, picture)
        times.append(time.perf_counter() - began)
    middle, least = np.median(times[20:]) * 1e3, min(times) * 1e3
    return f"{threads} threads: median {middle:.2f} ms, least {least:.2f} ms a face"


def parity(training: Training, graph: Path) -> float:
    """Return the largest difference between the outputs of the graph and of the network."""
    pictures = np.random.default_rng(5).random((3, SIDE, SIDE, 3), np.float32)
    with torch.no_grad():
        own = answer_of(training.average)(torch.from_numpy(graph_input(pictures))).numpy()[..., 0]
    return float(np.abs(own - asked(graph)(pictures)).max())


def write_graph(training: Training, target: Path) -> None:
    """Write the graph of the averaged network.

    Raises:
        SystemExit: ONNX Runtime answers otherwise than PyTorch.
    """
    export(training.average, target)
    apart = parity(training, target)
    print(f"{target}: {target.stat().st_size} bytes, largest difference from PyTorch {apart:.1e}")
    if apart > _LEAST_PARITY:
        raise SystemExit(f"{target} answers otherwise than the network it was made of.")


def check() -> None:
    """Go the whole way once, on a face made of noise: pictures, steps, graph, measures.

    Raises:
        SystemExit: the training does not go on from its checkpoint, or does not learn.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        person = _stand_in(folder)
        library = occluder_scenes.Library([person], [person])
        (folder / SCENES).mkdir()
        shard = occluder_scenes.make_shard(library, "training", 0, 2 * BATCH)
        np.save(folder / SCENES / "training_0000.npy", shard)
        first = train(folder, 3)
        training = train(folder, 30)
        if (first.step, training.step) != (3, 30):
            raise SystemExit("The training did not go on from its checkpoint.")
        with torch.no_grad():
            batch = tensors(shard[:, :SIDE, :SIDE])
            before, after = (
                float(loss_of(one.network.eval()(batch[0]), *batch[1:]))
                for one in (first, training)
            )
        print(f"loss {before:.3f} after 3 steps, {after:.3f} after 30")
        if not after < before:
            raise SystemExit("The training does not learn.")
        graph = folder / "graph.onnx"
        write_graph(training, graph)
        scene, known = library.scene(np.random.default_rng(1), hand)
        print(_line("hand", scored(asked(graph), scene, known), 1))
        print(speed(graph, 2))


def _stand_in(folder: Path) -> occluder_scenes.Person:
    """Return a person of noise, of the mesh's own shape."""
    rng, side = np.random.default_rng(3), 320
    noise = cv2.resize(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8), (side, side))
    cv2.imwrite(str(folder / "noise.png"), noise)
    return occluder_scenes.Person(folder / "noise.png", "bare", frontal_points(face_mesh()) * side)


def main() -> int:
    parser = argparse.ArgumentParser(description="Train the occluder.")
    parser.add_argument("--check", action="store_true", help="go the whole way once, in a minute")
    parser.add_argument("--threads", type=int, default=2)
    commands = parser.add_subparsers(dest="command")
    one = commands.add_parser("train", help="train, or go on training")
    one.add_argument("folder", type=Path)
    one.add_argument("--steps", type=int, default=20000, help="length of the whole schedule")
    one = commands.add_parser("export", help="write the graph of a checkpoint")
    one.add_argument("folder", type=Path)
    one.add_argument("graph", type=Path)
    one = commands.add_parser("evaluate", help="measure a graph")
    one.add_argument("graph", type=Path)
    one.add_argument("pictures", type=Path)
    one.add_argument("--data", type=Path, required=True, help="folder of the data")
    one.add_argument("--count", type=int, default=150, help="composites of each kind")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.check:
        check()
    elif options.command == "train":
        train(options.folder, options.steps)
    elif options.command == "export":
        training = Training.new()
        training.load(options.folder / CHECKPOINT)
        write_graph(training, options.graph)
    elif options.command == "evaluate":
        ask = asked(options.graph)
        for line in false_cover(ask, options.pictures, options.data / "meshes.npz"):
            print(line, flush=True)
        for line in composites(ask, options.pictures, options.data / "meshes.npz", options.count):
            print(line, flush=True)
        print(speed(options.graph, options.threads))
    else:
        parser.print_help()
    return 0


if __name__ == "__main__":
    sys.exit(main())
