"""Measure whether results look like the source, and move like the target.

Every portrait of the synthetic people goes onto every other person's expressions and selfie, and
the photographs of a folder of real media, where there is one, onto each other and onto the faces of
a clip. `--pairs` adds everyday pictures: a table with the columns source and target, whose files
lie in the folder `--faces`. Sources that the engine refuses are counted and left out. Portraits go
onto bare faces with things drawn before them, too, which must stay.
Writes benchmarks/results/quality.{json,md} and picture sheets into benchmarks/out/: a sample of
each group, and the worst twenty by each measure. docs/measures.md says what each measure means.

    python benchmarks/quality.py --quick     a sample, in about a minute; writes no results
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import av
import cv2
import kit as shared
import measures
import numpy as np
import occluders
from appearance import Appearance, appearance, skin_lightness
from borders import Border, border
from kit import MEDIA, OUT, Kit, as_pixels, frame_of, picture_of
from numpy.typing import NDArray
from second_opinion import SAME_PERSON, Dlib, distance

from engine.compose.combine import limit_patches
from engine.compose.limiter import BareFaceFinder
from engine.compose.occluder import Occluder
from engine.compose.paste import paste
from engine.geometry import affine
from engine.geometry.shape import yaw
from engine.media.os_errors import media_url
from engine.networks.swapping import OCCLUDER
from engine.pipeline.stages import add_bare_face, add_bare_masks, align
from engine.pixels.align import warp_crop
from engine.runtime.batches import SIZES, Batches
from engine.runtime.session import Session
from engine.swappers.mesh.source_faults import portrait_faults
from engine.swappers.mesh.warp import MeshWarp
from engine.swappers.swapper import Swapper
from engine.values import Bytes, Face, Frame, Portrait
from engine.weights.weight_store import WeightStore

SAME = 0.363  # SFace: two pictures of one person are at least this near (OpenCV zoo)
FRONTAL = 30.0  # degrees of yaw
DIRT = 2.0  # L* of contrast that neither source nor target has: to the eye, a blotch
STEP = 4.0  # L* or a*b* that the result adds to the step between rim and skin around
HALF_BEARD = 0.4  # of a target's beard, changed: what goes on under the chin is another
SEAM = 8.0  # CIELAB of an edge along the border
FURROWED = (0.67, 1.5)  # contrast of furrows over the target's, from lost to added
PAINTED = 5.0  # CIELAB by which what is before the face was changed
WORST = 20  # pictures on a sheet of the worst
CELL = 200  # side of a picture on a sheet
SOURCES = ("obama.jpg", "obama2.jpg", "biden.jpg")
PHOTOGRAPHS = (*SOURCES, "two_people.jpg", "obama_and_biden.jpg")
CLIP = "short_hamilton_clip.mp4"
QUICK_EXPRESSIONS = ("happy", "surprised", "disgusted", "confused", "pensive", "playful")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A portrait, made ready for the swapper."""

    name: str
    face: Face
    picture: Bytes
    prepared: Any
    second: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A face in a frame, and all that is measured of it once. `face` is None if none was found."""

    name: str
    frame: Frame
    face: Face | None
    second: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True)
class Row:
    """One swap's measurements; None where no face was found to measure."""

    group: str
    source: str
    target: str
    target_missed: bool
    result_missed: bool
    yaw: float | None = None
    before: float | None = None
    after: float | None = None
    kept: float | None = None
    error: float | None = None
    eyes_error: float | None = None
    lips_error: float | None = None
    eye_opening_error: float | None = None
    mouth_opening_error: float | None = None
    mouth_error: float | None = None
    smile_error: float | None = None
    brows_error: float | None = None
    lids_error: float | None = None
    second_before: float | None = None
    second_after: float | None = None
    look: Appearance | None = None
    border: Border | None = None
    covered: float | None = None

    @property
    def expression_error(self) -> float | None:
        """The mean of the four errors of the expression."""
        errors = [self.mouth_error, self.smile_error, self.brows_error, self.lids_error]
        found = [error for error in errors if error is not None]
        return float(np.mean(found)) if found else None


@dataclass(frozen=True, slots=True)
class Bench:
    """The pieces that every measurement needs."""

    kit: Kit
    second: Dlib | None
    swapper: Swapper[Any]
    size: int
    occluder: BareFaceFinder | None = None

    def source(self, name: str, picture: Bytes) -> Source:
        portrait = self.kit.portrait(name, picture)
        second = self.second.describe(picture, portrait.face.mesh) if self.second else None
        if self.occluder is not None:
            portrait = add_bare_face(portrait, self.occluder, self.swapper.template)
        prepared = self.swapper.prepare([portrait])
        return Source(name, portrait.face, picture, prepared, second)

    def targets(self, name: str, picture: Bytes, *, every: bool = False) -> list[Target]:
        """Return the largest face of a picture, or every face."""
        frame = frame_of(picture)
        faces = self.kit.faces(frame)
        if not faces:
            return [Target(name, frame, None, None)]
        chosen = faces if every else faces[:1]
        return [
            Target(
                f"{name}#{number}" if every and len(chosen) > 1 else name,
                frame,
                face,
                self.second.describe(picture, face.mesh) if self.second else None,
            )
            for number, face in enumerate(chosen)
        ]

    def swap(self, source: Source, frame: Frame, face: Face) -> Frame:
        aligned = add_bare_masks(
            [align(frame, face, self.swapper.template, self.size)], self.occluder
        )
        patches = self.swapper.swap(aligned, [source.prepared])
        return paste(frame, limit_patches(aligned, patches, ()))

    def measure(self, group: str, source: Source, target: Target) -> tuple[Row, Frame]:
        """One swap, and the frame that it made."""
        row = Row(group, source.name, target.name, target.face is None, target.face is None)
        if target.face is None:
            return row, target.frame
        wanted = target.face.mesh.points
        result = self.swap(source, target.frame, target.face)
        before, after = picture_of(target.frame), picture_of(result)
        row = replace(
            row,
            yaw=yaw(wanted),
            before=cosine(source.face, target.face),
            look=appearance((source.picture, source.face.mesh), (before, target.face.mesh), after),
            border=border(before, after, wanted),
        )
        got = self.kit.face_near(result, target.face.mesh)
        if got is None:
            return replace(row, result_missed=True), result
        mesh = got.mesh.points
        was, now = measures.expression(wanted), measures.expression(mesh)
        row = replace(
            row,
            after=cosine(source.face, got),
            kept=cosine(target.face, got),
            error=measures.landmark_error(wanted, mesh),
            eyes_error=measures.landmark_error(wanted, mesh, measures.EYES),
            lips_error=measures.landmark_error(wanted, mesh, measures.LIPS),
            eye_opening_error=abs(measures.eye_opening(wanted) - measures.eye_opening(mesh)),
            mouth_opening_error=abs(measures.mouth_opening(wanted) - measures.mouth_opening(mesh)),
            mouth_error=abs(now.mouth - was.mouth),
            smile_error=abs(now.smile - was.smile),
            brows_error=abs(now.brows - was.brows),
            lids_error=abs(now.lids - was.lids),
        )
        if self.second and source.second is not None and target.second is not None:
            described = self.second.describe(after, got.mesh)
            row = replace(
                row,
                second_before=distance(source.second, target.second),
                second_after=distance(source.second, described),
            )
        return row, result


# What the sheets of the worst are sorted by.
FAULTS: dict[str, Callable[[Row], float | None]] = {
    "dirt": lambda row: max(row.look.dirt, row.look.coloured_dirt) if row.look else None,
    "frown": lambda row: row.look.frown if row.look else None,
    "folds": lambda row: row.look.folds if row.look else None,
    "beard": lambda row: row.look.beard_changed if row.look else None,
    "step": lambda row: row.border.step if row.border else None,
    "seam": lambda row: row.border.seam if row.border else None,
    "expression": lambda row: row.expression_error,
}


def occluder_named(name: str) -> Occluder | None:
    """Return the embedded occluder, an imported one, or None for "none"."""
    if name == "none":
        return None
    store = WeightStore()
    batches = Batches(Session(store.path(name), threads=1), SIZES)
    if name == OCCLUDER:
        return Occluder(store.weight(name), batches, within_face=True)
    return Occluder(store.network(name), batches)


def cosine(one: Face, other: Face) -> float:
    assert one.embedding is not None
    assert other.embedding is not None
    return float(one.embedding @ other.embedding)


def synthetic_pairs(bench: Bench, *, quick: bool) -> Iterator[tuple[Source, Target]]:
    """Portraits of the synthetic people onto the others' expressions and selfies."""
    import people  # noqa: PLC0415 - found through kit's path

    everyone = people.people()
    givers = everyone[::2] if quick else everyone
    takers = everyone[1::4] if quick else everyone
    wanted = QUICK_EXPRESSIONS if quick else people.EXPRESSIONS
    sources = [bench.source(each.name, people.read(each.portrait)) for each in givers]
    for taker in takers:
        cells = taker.expressions()
        targets = [bench.targets(f"{taker.name} {name}", cells[name])[0] for name in wanted]
        targets += bench.targets(f"{taker.name} selfie", people.read(taker.selfie))
        for source in sources:
            if source.name != taker.name:
                yield from ((source, target) for target in targets)


def photograph_pairs(bench: Bench, media: Path) -> Iterator[tuple[Source, Target]]:
    """Photographs onto the faces of the other photographs."""
    import people  # noqa: PLC0415 - found through kit's path

    shots = [
        shot
        for name in PHOTOGRAPHS
        for shot in bench.targets(name, people.read(media / name), every=True)
    ]
    return strangers(givers(bench, media), shots)


def clip_pairs(bench: Bench, media: Path, *, quick: bool) -> Iterator[tuple[Source, Target]]:
    """Photographs onto every face found in sampled frames of a clip, however small or turned."""
    shots = [
        shot
        for number, picture in sampled(media / CLIP, 8 if quick else 40)
        for shot in bench.targets(f"{CLIP} {number}", picture, every=True)
    ]
    return strangers(givers(bench, media), shots)


def everyday_pairs(bench: Bench, table: Path, folder: Path) -> Iterator[tuple[Source, Target]]:
    """Yield the pairs of a table whose faces are found and whose sources the engine takes."""
    import people  # noqa: PLC0415 - found through kit's path

    refused = 0
    with table.open(newline="", encoding="utf-8") as file:
        pairs = [(line["source"], line["target"]) for line in csv.DictReader(file)]
    for giver, taker in pairs:
        picture = people.read(folder / giver)
        faces = bench.kit.faces(frame_of(picture))
        if not faces or refuses(Portrait(giver, as_pixels(picture), faces[0])):
            refused += 1
            continue
        source = bench.source(giver, picture)
        for target in bench.targets(taker, people.read(folder / taker)):
            yield source, target
    print(f"everyday: the sources of {refused} of {len(pairs)} pairs are refused")


def refuses(portrait: Portrait) -> bool:
    """Return True if the engine refuses a source without `any_source`."""
    return any(fault.hides for fault in portrait_faults(portrait))


def givers(bench: Bench, media: Path) -> list[Source]:
    import people  # noqa: PLC0415 - found through kit's path

    return [bench.source(name, people.read(media / name)) for name in SOURCES]


def strangers(
    sources: Sequence[Source], shots: Sequence[Target]
) -> Iterator[tuple[Source, Target]]:
    """Yield all pairs but those of one person: their own face says nothing of likeness gained."""
    for source in sources:
        for shot in shots:
            if shot.face is None or cosine(source.face, shot.face) < SAME:
                yield source, shot


def sampled(path: Path, count: int) -> Iterator[tuple[int, Bytes]]:
    """Evenly spaced pictures of a clip with their numbers."""
    with av.open(media_url(path)) as container:
        whole = container.streams.video[0].frames
        wanted = set(np.linspace(0, whole - 1, count).astype(int).tolist())
        for number, frame in enumerate(container.decode(video=0)):
            if number in wanted:
                yield number, frame.to_ndarray(format="rgb24").astype(np.uint8)


def measured(
    bench: Bench,
    group: str,
    pairs: Iterable[tuple[Source, Target]],
    workers: int,
    *,
    sheet: Sheet,
    worst: Mapping[str, Sheet],
) -> list[Row]:
    """Return all rows of a group; every so many go onto `sheet`, the worst onto `worst`."""
    rows: list[Row] = []
    tops = {name: Top(WORST) for name in worst}
    with ThreadPoolExecutor(workers) as pool:
        listed = list(pairs)
        done = pool.map(lambda pair: (pair, *bench.measure(group, *pair)), listed)
        every = max(1, len(listed) // sheet.room)
        for number, ((source, target), row, result) in enumerate(done):
            rows.append(row)
            if target.face is None:
                continue
            shot = Shot(source, target.frame, target.face, result)
            if number % every == 0:
                sheet.add(shot, likeness(row))
            for name, top in tops.items():
                top.add(FAULTS[name](row), shot)
    for name, top in tops.items():
        top.write(worst[name])
    return rows


def occluded(bench: Bench, *, quick: bool, worst: Sheet) -> list[Row]:
    """Portraits of the synthetic people onto bare faces with something drawn before them."""
    import people  # noqa: PLC0415 - found through kit's path

    everyone = people.people()[:: 5 if quick else 1]
    sources = [bench.source(each.name, people.read(each.portrait)) for each in everyone]
    top = Top(WORST)
    rows = []
    for number, taker in enumerate(everyone):
        source = sources[(number + 1) % len(sources)]
        for name, picture in (
            ("neutral", taker.expressions()["neutral"]),
            ("selfie", people.read(taker.selfie)),
        ):
            (bare,) = bench.targets(f"{taker.name} {name}", shrunk(picture))
            if bare.face is None:
                continue
            mesh = bare.face.mesh.points
            for item in occluders.covered(picture_of(bare.frame), mesh):
                frame = frame_of(item.picture)
                face = bench.kit.face_near(frame, bare.face.mesh)
                row = Row(
                    "occluders", source.name, f"{bare.name}, {item.kind}", face is None, False
                )
                if face is not None:
                    result = bench.swap(source, frame, face)
                    row = replace(row, covered=occluders.change(item, picture_of(result), mesh))
                    top.add(row.covered, Shot(source, frame, face, result))
                rows.append(row)
    top.write(worst)
    return rows


def shrunk(picture: Bytes, longest: int = 768) -> Bytes:
    """Return a picture whose longer side is at most `longest`."""
    scale = min(longest / max(picture.shape[:2]), 1.0)
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def kept(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """Return the change of each kind of occluder in CIELAB, and how often it was painted over."""
    kinds: dict[str, list[float]] = {}
    for row in rows:
        if row.covered is not None:
            kinds.setdefault(row.target.rpartition(", ")[2], []).append(row.covered)
    return {
        kind: {
            "swaps": float(len(values)),
            "mean_change": float(np.mean(values)),
            "share_painted_over": float(np.mean(np.array(values) > PAINTED)),
        }
        for kind, values in kinds.items()
    }


def likeness(row: Row) -> str:
    return f"{row.before:.2f} > {row.after:.2f}" if row.after is not None else "no face found"


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A swap, as a sheet shows it."""

    source: Source
    frame: Frame
    face: Face
    result: Frame


class Top:
    """The shots of the highest values, so many of them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._met = 0
        self._found: list[tuple[float, int, Shot]] = []

    def add(self, value: float | None, shot: Shot) -> None:
        """Keep a shot, if its value is among the highest."""
        self._met += 1
        if value is not None:
            self._found.append((value, self._met, shot))
            self._found.sort(key=lambda each: each[:2], reverse=True)
            del self._found[self._count :]

    def write(self, sheet: Sheet) -> None:
        """Put the shots onto a sheet, the highest value first."""
        for value, _, shot in self._found:
            sheet.add(shot, f"{value:.2f}")


class Sheet:
    """Source, target and result side by side, three to a row."""

    room = 30

    def __init__(self) -> None:
        self._cells: list[Bytes] = []

    def add(self, shot: Shot, words: str) -> None:
        before, after, face = picture_of(shot.frame), picture_of(shot.result), shot.face
        given = closeup(shot.source.picture, shot.source.face)
        strip = np.ascontiguousarray(
            np.hstack([given, closeup(before, face), closeup(after, face)])
        )
        for thickness, colour in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            place, font = (2 * CELL + 6, CELL - 8), cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(strip, words, place, font, 0.5, colour, thickness, cv2.LINE_AA)
        self._cells.append(strip)

    def write(self, path: Path) -> None:
        if not self._cells:
            return
        blank = np.full_like(self._cells[0], 255)
        cells = [*self._cells, *[blank] * (-len(self._cells) % 3)]
        rows = [np.hstack(cells[start : start + 3]) for start in range(0, len(cells), 3)]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


def closeup(picture: Bytes, face: Face) -> Bytes:
    """Return a square around the face."""
    points = face.mesh.points[:, :2]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    scale = CELL / (1.7 * float(np.ptp(points, axis=0).max()))
    shift = (CELL - 1) / 2 - scale * middle
    return warp_crop(picture, np.array([[scale, 0, shift[0]], [0, scale, shift[1]]]), CELL)


def steadiness(bench: Bench, source: Source, frames: Sequence[Bytes]) -> dict[str, float]:
    """Return flicker of target and result in crops that follow the target's face, and jitter.

    Both are second differences over time, so that even motion does not count. The steps of tone
    are those of the mean L* of the skin; the added ones those of the result's less the target's.
    """
    crops: dict[str, list[NDArray[np.float32]]] = {"target": [], "result": []}
    meshes: dict[str, list[NDArray[np.float32]]] = {"target": [], "result": []}
    tones: dict[str, list[float]] = {"target": [], "result": []}
    clip = (replace(frame_of(picture), index=n, pts=n) for n, picture in enumerate(frames))
    for shot in bench.kit.analyser.analyse(clip):
        if not shot.faces:
            continue
        face = max(shot.faces, key=lambda each: each.box.area)
        result = bench.swap(source, shot.frame, face)
        # Each by itself: the tracker's smoothing must not hide the result's unrest.
        pair = [bench.kit.face_near(frame, face.mesh) for frame in (shot.frame, result)]
        to_crop = align(shot.frame, face, bench.swapper.template, 192).to_crop
        middle = affine.compose(to_crop, affine.shift(-32, -32))
        for name, frame, found in zip(crops, (shot.frame, result), pair, strict=True):
            crops[name].append(warp_crop(as_pixels(picture_of(frame)), middle, 128))
            meshes[name].append((found or face).mesh.points)
            tones[name].append(skin_lightness(picture_of(frame), face.mesh))
    lightness = {name: np.array(each) for name, each in tones.items()}
    flickers = {name: measures.flicker(np.stack(each)) for name, each in crops.items()}
    jitters = {name: measures.jitter(np.stack(each)) for name, each in meshes.items()}
    return {
        "frames": float(len(crops["target"])),
        "target_flicker": flickers["target"],
        "result_flicker": flickers["result"],
        "target_jitter": jitters["target"],
        "result_jitter": jitters["result"],
        "target_tone_steps": measures.tone_steps(lightness["target"]),
        "result_tone_steps": measures.tone_steps(lightness["result"]),
        "added_tone_steps": measures.tone_steps(lightness["result"] - lightness["target"]),
    }


def consecutive(path: Path, count: int) -> list[Bytes]:
    """Return the first pictures of a clip."""
    with av.open(media_url(path)) as container:
        pictures = (
            frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)
        )
        return [picture for picture, _ in zip(pictures, range(count), strict=False)]


def frontal(row: Row) -> bool:
    return row.yaw is not None and abs(row.yaw) <= FRONTAL


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Means and shares over a group's rows."""
    found = [row for row in rows if row.after is not None]

    def mean(name: str) -> float:
        values = [value for row in found if (value := getattr(row, name)) is not None]
        return float(np.mean(values)) if values else float("nan")

    def median(name: str) -> float:
        values = [value for row in found if (value := getattr(row, name)) is not None]
        return float(np.median(values)) if values else float("nan")

    def share(name: str, limit: float, sign: int) -> float:
        values = [value for row in found if (value := getattr(row, name)) is not None]
        return float(np.mean([sign * value >= sign * limit for value in values] or [np.nan]))

    after = [row.after for row in found if row.after is not None]
    looks = [row.look for row in rows if row.look is not None]
    borders = [row.border for row in rows if row.border is not None]

    def seen(holds: Callable[[Appearance], bool]) -> float:
        return float(np.mean([holds(look) for look in looks])) if looks else float("nan")

    def met(holds: Callable[[Border], bool]) -> float:
        return float(np.mean([holds(each) for each in borders])) if borders else float("nan")

    return {
        "swaps": len(rows),
        "targets_missed": float(np.mean([row.target_missed for row in rows])),
        "results_missed": float(np.mean([row.result_missed for row in rows])),
        "cosine_before": mean("before"),
        "cosine_after": mean("after"),
        "cosine_after_p10": float(np.percentile(after, 10)) if after else float("nan"),
        "cosine_to_target": mean("kept"),
        "share_same_person": share("after", SAME, 1),
        "landmark_error": mean("error"),
        "landmark_error_median": median("error"),
        "eyes_error": mean("eyes_error"),
        "lips_error": mean("lips_error"),
        "eye_opening_error": mean("eye_opening_error"),
        "mouth_opening_error": mean("mouth_opening_error"),
        "dlib_before": mean("second_before"),
        "dlib_after": mean("second_after"),
        "dlib_share_same_person": share("second_after", SAME_PERSON, -1),
        "share_lightness_off_3": seen(lambda look: abs(look.lightness) > 3),
        "share_chroma_off_3": seen(lambda look: look.chroma > 3),
        "share_flat": seen(lambda look: look.shading < 0.7),
        "share_harsh": seen(lambda look: look.shading > 1.3),
        "share_highlights_lost": seen(lambda look: look.highlights < 0.6),
        "share_highlights_added": seen(lambda look: look.highlights > 1.6),
        "share_dirt": seen(lambda look: look.dirt > DIRT),
        "share_coloured_dirt": seen(lambda look: look.coloured_dirt > DIRT),
        "share_soft": seen(lambda look: look.sharpness is not None and look.sharpness < 0.6),
        "share_as_sharp": seen(
            lambda look: look.sharpness is not None and 0.85 <= look.sharpness <= 1.15
        ),
        "mouth_error": mean("mouth_error"),
        "smile_error": mean("smile_error"),
        "brows_error": mean("brows_error"),
        "lids_error": mean("lids_error"),
        "share_frown_added": seen(lambda look: look.frown is not None and look.frown > FURROWED[1]),
        "share_frown_lost": seen(lambda look: look.frown is not None and look.frown < FURROWED[0]),
        "share_folds_added": seen(lambda look: look.folds is not None and look.folds > FURROWED[1]),
        "share_folds_lost": seen(lambda look: look.folds is not None and look.folds < FURROWED[0]),
        "beard_changed": float(
            np.mean([v for each in looks if (v := each.beard_changed) is not None] or [np.nan])
        ),
        "share_beard_half": seen(
            lambda look: look.beard_changed is not None and look.beard_changed > HALF_BEARD
        ),
        "share_step": met(lambda each: each.step is not None and each.step > STEP),
        "share_coloured_step": met(
            lambda each: each.coloured_step is not None and each.coloured_step > STEP
        ),
        "share_seam": met(lambda each: each.seam > SEAM),
        "seam_median": float(np.median([each.seam for each in borders] or [np.nan])),
    }


def table(columns: dict[str, dict[str, float]]) -> str:
    """Return a Markdown table, a line for each measure."""
    names = list(columns)
    measured_names = dict.fromkeys(key for column in columns.values() for key in column)
    lines = ["| measure | " + " | ".join(names) + " |", "| --- |" + " ---: |" * len(names)]
    for key in measured_names:
        cells = [columns[name].get(key, float("nan")) for name in names]
        shown = [f"{cell:.0f}" if key in ("swaps", "frames") else f"{cell:.4f}" for cell in cells]
        lines.append(f"| {key.replace('_', ' ')} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def worst(rows: Sequence[Row], count: int = 8) -> list[Row]:
    found = [row for row in rows if row.after is not None]
    return sorted(found, key=lambda row: row.after or 0.0)[:count]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a sample; writes no results")
    parser.add_argument("--media", type=Path, default=MEDIA, help="folder of real photographs")
    parser.add_argument("--pairs", type=Path, help="CSV of everyday sources and targets")
    parser.add_argument("--faces", type=Path, help="folder of the pictures that --pairs names")
    parser.add_argument("--size", type=int, default=384, help="side of the swapped crop")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--occluder", default=OCCLUDER, help="finds things before faces, or none")
    parser.add_argument("--no-dlib", action="store_true", help="leave the second recogniser out")
    choices = parser.parse_args()
    started = time.perf_counter()
    second = None if choices.no_dlib else Dlib.load()
    if second is None and not choices.no_dlib:
        print("dlib is not installed (extra `bench`): no second opinion.")
    bench = Bench(Kit(), second, MeshWarp(), choices.size, occluder_named(choices.occluder))
    groups = {"synthetic": synthetic_pairs(bench, quick=choices.quick)}
    if choices.media.is_dir():
        groups["photographs"] = photograph_pairs(bench, choices.media)
        groups["clip"] = clip_pairs(bench, choices.media, quick=choices.quick)
    if choices.pairs and choices.faces:
        groups["everyday"] = everyday_pairs(bench, choices.pairs, choices.faces)
    suffix = "_quick" if choices.quick else ""
    rows: dict[str, list[Row]] = {}
    for name, pairs in groups.items():
        sheet, sheets = Sheet(), {fault: Sheet() for fault in FAULTS}
        rows[name] = measured(bench, name, pairs, choices.workers, sheet=sheet, worst=sheets)
        sheet.write(OUT / f"quality_{name}{suffix}.png")
        for fault, worst_of in sheets.items():
            worst_of.write(OUT / f"quality_{name}_{fault}{suffix}.png")
        print(f"{name}: {len(rows[name])} swaps, {time.perf_counter() - started:.0f} s so far")
    painted = Sheet()
    covered_rows = occluded(bench, quick=choices.quick, worst=painted)
    painted.write(OUT / f"quality_occluders{suffix}.png")
    print(f"occluders: {len(covered_rows)} swaps, {time.perf_counter() - started:.0f} s so far")
    columns = {}
    for name, each in rows.items():
        columns[name] = summary(each)
        columns[f"{name}, yaw to {FRONTAL:.0f}"] = summary([row for row in each if frontal(row)])
    steady = {}
    if choices.media.is_dir():
        import people  # noqa: PLC0415 - found through kit's path

        giver = bench.source("biden.jpg", people.read(choices.media / "biden.jpg"))
        count = 20 if choices.quick else 100
        steady[CLIP] = steadiness(bench, giver, consecutive(choices.media / CLIP, count))
    print(table(columns))
    if steady:
        print(table(steady))
    print(table(kept(covered_rows)))
    for each in rows.values():
        print("lowest: " + ", ".join(f"{r.source}>{r.target} {r.after:.2f}" for r in worst(each)))
    print(f"sheets are in {OUT}; {time.perf_counter() - started:.0f} s in all")
    if not choices.quick:
        document = {
            "machine": shared.machine(),
            "seconds": time.perf_counter() - started,
            "size": choices.size,
            "occluder": choices.occluder,
            "summary": columns,
            "steadiness": steady,
            "occluders": kept(covered_rows),
            "rows": [asdict(row) for each in (*rows.values(), covered_rows) for row in each],
        }
        text = [f"# Quality\n\n{shared.machine_line()}\n", table(columns)]
        text += ["", table(steady), "", table(kept(covered_rows))]
        shared.record("quality", document, "\n".join(text) + "\n")


if __name__ == "__main__":
    main()
