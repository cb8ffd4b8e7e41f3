#!/usr/bin/env python3
"""Make training pictures for the occluder: bare faces, and things drawn before them.

    python scripts/occluder_scenes.py PICTURES --data FOLDER

PICTURES is the folder of faces that `occluder_people.csv` names. FOLDER holds `meshes.npz`, what
`occluder_faces.py` found in them, and `hands.npz`, what `occluder_hands.py` cut out. Writes
`FOLDER/scenes/SPLIT_0000.npy` and so on: (512, 192, 192, 5) uint8, of which three are RGB, the
fourth is how much of the face is seen, and the fifth how much the pixel counts. A file depends on
the split and its number alone, so that several processes may share the work, and it may be broken
off and taken up again.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray
from occluder_canvas import SIDE, Floats, Rng, Scene, blurred, filled, noise
from occluder_marks import mark
from occluder_objects import (
    another_head,
    bars,
    cut_hand,
    hair,
    hand,
    hat,
    hood,
    mask,
    scarf,
    thing,
    writing,
)
from occluder_spectacles import spectacles
from people import read

from engine.faces.landmarks import five_points_of_mesh
from engine.geometry import affine
from engine.geometry.mesh_topology import OVAL, face_mesh, mesh_template, rigid_fit
from engine.geometry.templates import in_pixels
from engine.pixels.align import warp_crop
from engine.values import Mesh, Template

PEOPLE = Path(__file__).with_name("occluder_people.csv")
INPUT = 160  # side of the network's input; a training picture has a margin around it
SHARD = 512
BARE = 0.32  # share of pictures without anything before the face
_TURNED = 0.68  # cosine of the head's turn from which on faces are left out
_WHOLE = ("bare", "hair", "hat")  # labels of people to draw on

TEMPLATE = mesh_template()
FIVE = 5  # points of the templates that are not the mesh's
_THINGS: tuple[tuple[float, Callable[[Scene], None]], ...] = (
    (0.36, lambda scene: spectacles(scene, sun=False)),
    (0.14, lambda scene: spectacles(scene, sun=True)),
    (0.09, hand),
    (0.1, cut_hand),
    (0.07, mask),
    (0.11, hair),
    (0.09, thing),
    (0.035, hat),
    (0.015, hood),
    (0.015, scarf),
    (0.015, another_head),
    (0.01, writing),
    (0.01, bars),
)


@dataclass(frozen=True)
class Person:
    """A picture of one person, with the mesh of the face in its pixels."""

    file: Path
    label: str
    mesh: Floats

    def picture(self) -> NDArray[np.uint8]:
        """RGB."""
        return read(self.file)


def people(
    pictures: Path, meshes: Path, splits: Sequence[str], labels: Sequence[str] = _WHOLE
) -> list[Person]:
    """Return the people of some splits and labels whose faces were found, not in profile."""
    with np.load(meshes) as data:
        found = dict(zip(data["names"].tolist(), data["meshes"], strict=True))
    with PEOPLE.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in splits]
    return [
        Person(pictures / row["file"], row["label"], found[row["file"]])
        for row in rows
        if row["label"] in labels and row["file"] in found and frontal(found[row["file"]])
    ]


def frontal(mesh: Floats) -> bool:
    """Return True if the head is not turned so far that half of the mesh is guessed."""
    canonical = face_mesh().vertices * np.array((1, -1, -1), np.float32)
    head = rigid_fit(canonical, mesh)[:, :3]
    return float(head[2, 2] / np.linalg.norm(head[:, 0])) > _TURNED


def crop_of(
    person: Person, side: int, rng: Rng | None = None, template: Template = TEMPLATE
) -> tuple[Floats, Floats]:
    """Return the crop (side, side, 3) of 0..1 and the mesh in it, about as the mesh swapper's.

    With a generator, the crop is moved, turned and scaled: half of them a little, the others as far
    as the alignments of five points in `engine.geometry.templates` lie apart.
    """
    five = len(template.points) == FIVE
    points = five_points_of_mesh(Mesh(person.mesh, 1.0)) if five else person.mesh[:, :2]
    goal = in_pixels(template, INPUT) + (side - INPUT) / 2
    to_crop = affine.fit_similarity(points, goal)
    if rng is not None:
        near = rng.random() < 0.5
        scale = np.exp(rng.normal(0, 0.04) if near else rng.uniform(np.log(0.82), np.log(1.2)))
        turn = np.deg2rad(rng.normal(0, 3) if near else rng.uniform(-15, 15))
        moved = rng.normal(0, 0.02, 2) if near else rng.uniform((-0.05, -0.04), (0.05, 0.16))
        c, s = scale * np.cos(turn), scale * np.sin(turn)
        half = np.array((side / 2, side / 2))
        spin = np.array([[c, -s], [s, c]])
        change = np.column_stack((spin, half - spin @ half + moved * INPUT))
        to_crop = affine.compose(to_crop, change)
    picture = warp_crop(person.picture(), to_crop, side)
    mesh = np.empty_like(person.mesh)
    mesh[:, :2] = affine.apply(to_crop, person.mesh[:, :2])
    mesh[:, 2] = person.mesh[:, 2] * affine.scale_of(to_crop)
    return picture.astype(np.float32) / 255, mesh


def _around(points: Floats, scale: float) -> Floats:
    centre = points.mean(0)
    return np.asarray(centre + (points - centre) * scale, np.float32)


def weights(scene: Scene, label: str) -> Floats:
    """Return the weight of each pixel: 1 on the face, less near its border, 0 where unknown.

    People with a fringe or a hat are bare below the brows only.
    """
    outline = cast("Floats", cv2.convexHull(scene.mesh[list(OVAL), :2])[:, 0])
    wide = filled(_around(outline, 1.04))
    known = 0.25 * wide + 0.75 * filled(_around(outline, 0.92))
    if label != "bare":
        rows = [(-5.2, 3.6), (5.2, 3.6), (5.4, -2), (4.5, -7.5), (0, -9), (-4.5, -7.5), (-5.4, -2)]
        known = np.minimum(known, filled(scene.on_face(rows)))
    covered = np.clip((1 - scene.seen) * 4 - 0.5, 0, 1)
    return np.asarray(np.maximum(known, covered * (0.3 + 0.7 * wide)))


def photographed(scene: Scene) -> None:
    """Change light, colours, sharpness and compression, of face and cover alike."""
    rng, image = scene.rng, scene.image
    if rng.random() < 0.35:  # light that falls off
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.8)
        run = np.linspace(-1, 1, SIDE, dtype=np.float32)
        image = (
            image
            * np.clip(1 + strength * (run * np.cos(angle) + run[:, None] * np.sin(angle)), 0.1, 2)[
                ..., None
            ]
        )
    if rng.random() < 0.15:
        image = image * (0.7 + 0.6 * noise(rng, 3))[..., None]
    if rng.random() < 0.4:
        image = image * rng.uniform(0.45, 1.5)
    if rng.random() < 0.4:
        image = np.clip(image, 0, 1) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.35:
        image = image * (1 + rng.normal(0, 0.1, 3))
    if rng.random() < 0.1:
        image = np.repeat(image.mean(2, keepdims=True), 3, 2) * (1, *rng.uniform(0.8, 1, 2))
    elif rng.random() < 0.25:
        grey = image.mean(2, keepdims=True)
        image = grey + (image - grey) * rng.uniform(0.3, 1.5)
    image = np.clip(image, 0, 1).astype(np.float32)
    if rng.random() < 0.3:
        sigma = rng.uniform(0.3, 1.8)
        image, scene.seen = blurred(image, sigma), blurred(scene.seen, 0.7 * sigma)
    elif rng.random() < 0.12:
        length, angle = int(rng.integers(3, 10)), rng.uniform(0, np.pi)
        kernel = np.zeros((11, 11), np.float32)
        end = 0.5 * length * np.array((np.cos(angle), np.sin(angle)))
        a, b = np.round(5 - end).astype(int), np.round(5 + end).astype(int)
        cv2.line(kernel, tuple(map(int, a)), tuple(map(int, b)), 1.0)
        kernel /= kernel.sum()
        image = cast("Floats", cv2.filter2D(image, -1, kernel))
        scene.seen = cast("Floats", cv2.filter2D(scene.seen, -1, kernel))
    if rng.random() < 0.2:
        small = int(SIDE * rng.uniform(0.3, 0.8))
        way = cv2.INTER_CUBIC if rng.random() < 0.5 else cv2.INTER_LINEAR
        coarse = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cast("Floats", cv2.resize(coarse, (SIDE, SIDE), interpolation=way))
    if rng.random() < 0.3:
        image = image + rng.normal(0, rng.uniform(0.005, 0.06), image.shape).astype(np.float32)
    image = np.clip(image, 0, 1)
    if rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(18, 95))]
        _, packed = cv2.imencode(".jpg", np.round(image[..., ::-1] * 255).astype(np.uint8), quality)
        unpacked = cast("NDArray[np.uint8]", cv2.imdecode(packed, cv2.IMREAD_COLOR))
        image = unpacked[..., ::-1].astype(np.float32) / 255
    scene.image = np.ascontiguousarray(image, np.float32)


class Library:
    """The people of a split with their pictures, and crops of others to cut patterns from."""

    def __init__(
        self,
        drawn: Sequence[Person],
        cut: Sequence[Person],
        hands: Sequence[NDArray[np.uint8]] = (),
    ) -> None:
        self.people, self.hands = drawn, hands
        self.others = [(255 * crop_of(person, 2 * INPUT)[0]).astype(np.uint8) for person in cut]

    def scene(self, rng: Rng, draw: Callable[[Scene], None] | None = None) -> tuple[Scene, Floats]:
        """Return a picture and the weight of each pixel; `draw` draws things before the face."""
        person = self.people[int(rng.integers(len(self.people)))]
        image, mesh = crop_of(person, SIDE, rng)
        if rng.random() < 0.5:
            image, mesh = _mirrored(image, mesh)
        scene = Scene(image, mesh, self.others, rng, self.hands)
        bare = draw is None and rng.random() < BARE
        if rng.random() < (0.65 if bare else 0.3):
            mark(scene)
        if draw is not None:
            draw(scene)
        elif not bare:
            _cover(scene)
        known = weights(scene, person.label)
        photographed(scene)
        return scene, known


def _cover(scene: Scene) -> None:
    """Draw something before the face, seldom two things."""
    rng = scene.rng
    shares = np.array([share for share, _ in _THINGS])
    for _ in range(2 if rng.random() < 0.15 else 1):
        _, draw = _THINGS[rng.choice(len(_THINGS), p=shares / shares.sum())]
        draw(scene)


def _mirrored(image: Floats, mesh: Floats) -> tuple[Floats, Floats]:
    twin = mesh[face_mesh().mirror].copy()
    twin[:, 0] = image.shape[1] - 1 - twin[:, 0]
    return np.ascontiguousarray(image[:, ::-1]), twin


def packed(scene: Scene, known: Floats) -> NDArray[np.uint8]:
    """(SIDE, SIDE, 5) uint8."""
    whole = np.dstack((scene.image, scene.seen, known))
    return np.asarray(np.round(np.clip(whole, 0, 1) * 255), np.uint8)


def make_shard(library: Library, split: str, number: int, count: int) -> NDArray[np.uint8]:
    """Return the pictures of one file."""
    made = np.empty((count, SIDE, SIDE, 5), np.uint8)
    for index in range(count):
        rng = np.random.default_rng((sum(map(ord, split)), number, index))
        made[index] = packed(*library.scene(rng))
    return made


def write_shards(library: Library, output: Path, split: str, numbers: Sequence[int]) -> None:
    """Write the files of some numbers, those left out that are there."""
    output.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        target = output / f"{split}_{number:04d}.npy"
        if target.is_file():
            continue
        scratch = target.with_suffix(".part")
        with scratch.open("wb") as file:
            np.save(file, make_shard(library, split, number, SHARD))
        scratch.replace(target)
        print(target.name, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make training pictures for the occluder.")
    parser.add_argument("pictures", type=Path, help="folder of the faces")
    parser.add_argument("--data", type=Path, required=True, help="folder of the data")
    parser.add_argument("--split", choices=("training", "validation"), default="training")
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--files", type=int, default=60, help="how many files of 512 pictures")
    parser.add_argument("--step", type=int, default=1, help="2 makes every other one")
    options = parser.parse_args()
    numbers = range(options.first, options.first + options.files * options.step, options.step)
    cv2.setNumThreads(1)
    with np.load(options.data / "hands.npz") as data:
        hands = data["hands"]
    meshes = options.data / "meshes.npz"
    cut = people(options.pictures, meshes, ["training"])[::4]
    library = Library(people(options.pictures, meshes, [options.split]), cut, hands)
    write_shards(library, options.data / "scenes", options.split, numbers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
