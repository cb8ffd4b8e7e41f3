"""From analysed faces to finished frames, with swappers whose answer is known."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from engine.geometry import affine
from engine.geometry.templates import ARCFACE_112_V2, in_pixels
from engine.options import SelectionRule
from engine.pipeline import stages
from engine.pipeline.crop_sizes import CropSizes
from engine.pipeline.recorder import Recorder
from engine.pipeline.stages import (
    FaceSwap,
    SwappedFrame,
    add_bare_face,
    align,
)
from engine.pipeline.threads import Stopwatch
from engine.pipeline.video import QUEUE_DEPTH, Threads, swapped_frames
from engine.values import (
    Aligned,
    Analysed,
    Face,
    Frame,
    Hand,
    Mask,
    Patch,
    PixelFormat,
    Pixels,
    Planned,
    Portrait,
    Template,
)
from tests import people
from tests.doubles import FIVE, IdentitySwapper, TintedSwapper
from tests.live_arrays import LiveArrays

YUV420 = PixelFormat("yuv420p", "yuv", 8, 1, 1)


def frame_of(index: int) -> Frame:
    rng = np.random.default_rng(index)
    shapes = [(96, 128), (48, 64), (48, 64)]
    planes = tuple(rng.integers(60, 180, shape, dtype=np.uint8) for shape in shapes)
    return Frame(index, index * 40, Fraction(1, 1000), planes, YUV420)


def two_faces() -> tuple[Face, Face]:
    """Their meshes are not to be trusted, so the detection's points align them."""
    left, right = people.face(10, 20, 40), people.face(70, 30, 40)
    return (
        replace(left, mesh=replace(left.mesh, score=0)),
        replace(right, mesh=replace(right.mesh, score=0)),
    )


def analyse(frames: Iterable[Frame]) -> Iterator[Analysed]:
    for frame in frames:
        yield Analysed(frame, two_faces())


def planned(
    frame: Frame,
    faces: tuple[Face, ...],
    chosen: tuple[Face, ...],
    hands: tuple[Hand, ...] = (),
) -> Planned:
    return Planned(frame, faces, chosen, hands, (64,) * len(chosen))


def everybody(faces: tuple[Face, ...]) -> tuple[Face, ...]:
    return faces


def nobody(faces: tuple[Face, ...]) -> tuple[Face, ...]:
    return faces[:0]


@pytest.mark.parametrize("size", [64, 384])
def test_align_puts_the_five_points_on_a_five_point_template(size: int) -> None:
    frame, (face, _) = frame_of(0), two_faces()
    points = affine.apply(
        affine.invert(np.array([[2.0, 0.4, 3.0], [-0.4, 2.0, 9.0]])),
        in_pixels(ARCFACE_112_V2, 64).astype(np.float32),
    )
    face = replace(face, detection=replace(face.detection, points=points))
    aligned = align(frame, face, ARCFACE_112_V2, size)
    placed = affine.apply(aligned.to_crop, points)
    assert np.abs(placed - in_pixels(ARCFACE_112_V2, size)).max() < 0.01 * size
    assert aligned.pixels.shape == (size, size, 3)


def test_align_puts_the_mesh_on_a_mesh_template() -> None:
    rng = np.random.default_rng(0)
    spots = rng.uniform(0.2, 0.8, (468, 2))
    template = Template("mesh", tuple((float(x), float(y)) for x, y in spots))
    points = np.column_stack([spots * 50 + 20, rng.normal(size=468)]).astype(np.float32)
    face, _ = two_faces()
    face = replace(face, mesh=replace(face.mesh, points=points))
    aligned = align(frame_of(0), face, template, 200)
    assert np.abs(aligned.mesh[:, :2] - spots * 200).max() < 0.1
    # The third coordinate stays in the unit of the other two.
    assert np.allclose(aligned.mesh[:, 2], points[:, 2] * 4, atol=1e-3)


def test_align_refuses_a_template_of_other_points() -> None:
    with pytest.raises(ValueError, match="two equal lists"):
        align(frame_of(0), two_faces()[0], Template("six", ((0.5, 0.5),) * 6), 64)


def test_a_frame_of_which_nothing_was_chosen_is_the_same_object() -> None:
    swap = FaceSwap(TintedSwapper(), {0: (1.0, 0.0, 0.0)})
    frame = frame_of(0)
    (result,) = swap([Planned(frame, two_faces(), ())])
    assert result.frame is frame


@dataclass
class LeftHalf:
    """An occluder that finds something before the right half of every crop."""

    crops: list[Pixels] = field(default_factory=list)

    def bare_masks(self, targets: Sequence[Aligned]) -> list[Mask]:
        crops = [target.pixels for target in targets]
        self.crops += crops
        sides = [len(crop) for crop in crops]
        masks = [np.zeros((side, side), np.float32) for side in sides]
        for mask, side in zip(masks, sides, strict=True):
            mask[:, : side // 2] = 1
        return masks


@dataclass
class MaskRecorder(TintedSwapper):
    """Remembers the masks of its targets."""

    masks: list[Mask | None] = field(default_factory=list)

    def swap(self, targets: Sequence[Aligned], sources: Sequence[tuple[float, ...]]) -> list[Patch]:
        self.masks.extend(target.bare for target in targets)
        return super().swap(targets, sources)


def test_what_is_before_a_face_stays_and_is_told_to_the_swapper() -> None:
    frame, faces = frame_of(0), two_faces()
    shot = planned(frame, faces, faces[:1])
    for occluder in (None, LeftHalf()):
        swapper = MaskRecorder()
        (result,) = FaceSwap(swapper, {0: (1.0, 1.0, 1.0)}, occluder)([shot])
        changed = result.frame.planes[0] != frame.planes[0]
        x, y = int(faces[0].box.left), int(faces[0].box.top + 20)
        assert changed[y, x + 12]
        assert changed[y, x + 28] == (occluder is None)
        (shown,) = result.faces
        assert shown.covered.occluder == pytest.approx(0 if occluder is None else 0.5, abs=0.02)
        (mask,) = swapper.masks
        assert (mask is None) == (occluder is None)


def test_an_occluder_is_shown_a_portrait_as_the_swapper_is_shown_a_target() -> None:
    occluder = LeftHalf()
    face, _ = two_faces()
    pixels = np.random.default_rng(1).random((96, 128, 3), np.float32)
    portrait = add_bare_face(Portrait("one", pixels, face), occluder, FIVE)
    assert portrait.bare is not None
    (crop,) = occluder.crops
    assert portrait.bare.mask.shape == crop.shape[:2]
    placed = affine.apply(portrait.bare.to_crop, face.detection.points)
    assert np.abs(placed - in_pixels(FIVE, len(crop))).max() < 0.15 * len(crop)


def test_every_chosen_face_is_swapped_and_no_other() -> None:
    swap = FaceSwap(TintedSwapper(), {0: (1.0, 1.0, 1.0)})
    frame, (left, right) = frame_of(0), two_faces()
    for chosen in [(left,), (right,), (left, right)]:
        (result,) = swap([planned(frame, (left, right), chosen)])
        assert result.visible == len(chosen)
        changed = result.frame.planes[0] != frame.planes[0]
        for face in (left, right):
            x, y = int(face.box.left + 20), int(face.box.top + 20)
            assert bool(changed[y, x]) == (face in chosen)


@dataclass
class BatchRecorder(TintedSwapper):
    """Remembers how many faces came at once; enhances, too, by the colour blue."""

    size: int = 512
    swapped: list[int] = field(default_factory=list)
    enhanced: list[int] = field(default_factory=list)

    def swap(self, targets: Sequence[Aligned], sources: Sequence[tuple[float, ...]]) -> list[Patch]:
        self.swapped.append(len(targets))
        return super().swap(targets, sources)

    def enhance(self, targets: Sequence[Aligned]) -> list[Patch]:
        self.enhanced.append(len(targets))
        patches = super().swap(targets, [(0.0, 0.0, 1.0)] * len(targets))
        return [replace(patch, mask=patch.mask * np.float32(0.5)) for patch in patches]


def test_many_large_faces_go_through_in_portions_and_each_comes_out_in_its_place() -> None:
    """They are cut, swapped and pasted a portion at a time, so memory does not grow with them."""
    crowd = BatchRecorder()
    swap = FaceSwap(crowd, {0: (1.0, 0.0, 0.0)}, enhancer=crowd)
    left, right = two_faces()
    shots = [
        Planned(frame_of(n), (left, right), (left, right)[: 1 + n % 2], (), (1024,) * (1 + n % 2))
        for n in range(6)
    ]
    together = swap(shots)
    # 1024 * 1024 pixels make four a portion, and 512 * 512 sixteen.
    assert (crowd.swapped, crowd.enhanced) == ([4, 4, 1], [9])
    for shot, result in zip(shots, together, strict=True):
        (alone,) = swap([shot])
        assert result.visible == alone.visible == len(shot.chosen)
        for plane, expected in zip(result.frame.planes, alone.frame.planes, strict=True):
            np.testing.assert_array_equal(plane, expected)
    crowd.enhanced.clear()
    swap(10 * [shots[1]])
    assert crowd.enhanced == [16, 4]


def test_crops_and_patches_are_dropped_when_they_were_pasted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    crops, patches = LiveArrays(), LiveArrays()

    def aligned(*args: Any) -> Aligned:
        target = align(*args)
        crops.watch(target.pixels)
        return target

    class Watched(TintedSwapper):
        def swap(
            self, targets: Sequence[Aligned], sources: Sequence[tuple[float, ...]]
        ) -> list[Patch]:
            answers = super().swap(targets, sources)
            for answer in answers:
                patches.watch(answer.pixels)
            return answers

    monkeypatch.setattr(stages, "align", aligned)
    left, right = two_faces()
    shot = Planned(frame_of(0), (left, right), (left, right) * 2, (), (1024,) * 4)
    FaceSwap(Watched(), {0: (1.0, 0.0, 0.0)})([shot] * 4)
    assert (crops.most, crops.now) == (4, 0)
    # Those of the frame before are held until the next frame has its own.
    assert patches.most <= 8
    assert patches.now == 0


class FadingSwapper(IdentitySwapper):
    """Knows no face that lies in the left half of a frame."""

    def swap(self, targets: Sequence[Aligned], sources: Sequence[str]) -> list[Patch]:
        return [
            replace(patch, mask=patch.mask * np.float32(0.05 if is_left(patch) else 1))
            for patch in super().swap(targets, sources)
        ]


def is_left(patch: Patch) -> bool:
    (centre,) = affine.apply(affine.invert(patch.to_crop), np.array([[32.0, 32.0]]))
    return bool(centre[0] < 64)


def test_a_face_on_which_the_swapper_fades_out_is_not_swapped() -> None:
    left, right = two_faces()
    swap = FaceSwap(FadingSwapper(), {0: "someone"})
    shots = [planned(frame_of(0), (left, right), chosen) for chosen in [(left, right), (left,)]]
    both, one = swap(shots)
    assert (both.visible, one.visible) == (1, 0)
    assert [face.strength for face in both.faces] == [pytest.approx(0.05), 1]


def test_a_face_that_a_hand_covers_is_not_swapped() -> None:
    left, right = two_faces()
    angles = np.linspace(0, 2 * np.pi, 21, endpoint=False)
    around = (64 + 400 * np.cos(angles), 48 + 400 * np.sin(angles), 0 * angles)
    hand = Hand(np.stack(around, axis=1).astype(np.float32), 1.0)
    frame, faces = frame_of(0), (left, right)
    (swapped,) = FaceSwap(IdentitySwapper(), {0: "someone"})(
        [planned(frame, faces, faces, (hand,))]
    )
    assert swapped.visible == 0
    for face in swapped.faces:
        assert (face.covered.occluder, face.covered.face) == (0, 0)
        assert face.covered.hand == pytest.approx(1)
        assert face.strength == 1
    assert all(map(np.array_equal, swapped.frame.planes, frame.planes))


class Run:
    """`swapped_frames` over made-up frames, with what there is to watch."""

    def __init__(self) -> None:
        self.tally = Recorder(SelectionRule(mode="many"))
        self.watch = Stopwatch()
        self.drawn = 0
        self.is_closed = False

    def __call__(
        self,
        count: int,
        choose: Callable[[tuple[Face, ...]], tuple[Face, ...]] = everybody,
        swap: Callable[[Sequence[Planned]], list[SwappedFrame]] | None = None,
        at_once: int = 1,
    ) -> Generator[Frame]:
        def plan(stream: Iterable[Analysed]) -> Iterator[Planned]:
            return CropSizes((64,), FIVE).assign(
                Planned(shot.frame, shot.faces, choose(shot.faces), shot.hands) for shot in stream
            )

        return swapped_frames(
            self.frames(count),
            analyse,
            plan,
            swap or FaceSwap(IdentitySwapper(template=FIVE), {0: "someone"}),
            recorder=self.tally,
            watch=self.watch,
            workers=2,
            at_once=at_once,
        )

    def frames(self, count: int) -> Generator[Frame]:
        try:
            for index in range(count):
                self.drawn += 1
                yield frame_of(index)
        finally:
            self.is_closed = True


@pytest.fixture
def run() -> Iterator[Run]:
    before = set(threading.enumerate())
    yield Run()
    assert set(threading.enumerate()) <= before


def test_all_frames_come_out_in_order_and_are_counted(run: Run) -> None:
    result = list(run(30))
    assert [frame.index for frame in result] == list(range(30))
    assert (run.tally.frames, run.tally.faces_seen, run.tally.faces_swapped) == (30, 60, 60)
    assert (run.tally.frames_with_swap, run.tally.faces_faded) == (30, 0)
    assert run.watch.seconds.keys() == {"decode", "analyse", "swap"}


@pytest.mark.parametrize("count", [1, 4, 11])
def test_frames_that_are_swapped_together_come_out_as_each_by_itself(run: Run, count: int) -> None:
    alone = list(run(count, swap=FaceSwap(FadingSwapper(), {0: "someone"})))
    together = list(run(count, swap=FaceSwap(FadingSwapper(), {0: "someone"}), at_once=4))
    assert [frame.index for frame in together] == list(range(count))
    for one, other in zip(alone, together, strict=True):
        assert all(map(np.array_equal, one.planes, other.planes))
    assert run.tally.faces_swapped == 2 * count


def test_frames_of_which_nothing_is_chosen_pass_untouched(run: Run) -> None:
    result = list(run(5, choose=nobody))
    for index, frame in enumerate(result):
        assert all(map(np.array_equal, frame.planes, frame_of(index).planes))
    assert (run.tally.faces_seen, run.tally.faces_swapped) == (10, 0)


def test_faded_faces_are_counted_apart(run: Run) -> None:
    list(run(6, swap=FaceSwap(FadingSwapper(), {0: "someone"})))
    assert (run.tally.faces_chosen, run.tally.faces_swapped, run.tally.faces_faded) == (12, 6, 6)
    assert run.tally.frames_with_swap == 6


def test_what_is_held_is_bounded_however_long_the_clip(run: Run) -> None:
    with closing(run(1000)) as stream:
        for taken, _ in zip(range(1, 20), stream, strict=False):
            # Two queues and a window, and one frame in the hands of each of four stages.
            assert run.drawn <= taken + 3 * QUEUE_DEPTH + 4


def test_closing_early_ends_every_stage(run: Run) -> None:
    stream = run(1000)
    next(stream)
    stream.close()
    assert run.is_closed


def test_a_failing_swapper_ends_every_stage(run: Run) -> None:
    def fail(shots: Sequence[Planned]) -> list[SwappedFrame]:
        if any(shot.frame.index == 7 for shot in shots):
            raise RuntimeError("at frame 7")
        return FaceSwap(IdentitySwapper(), {0: "someone"})(shots)

    with pytest.raises(RuntimeError, match="at frame 7"):
        list(run(1000, swap=fail))
    assert run.is_closed


def test_a_failing_choice_ends_every_stage(run: Run) -> None:
    def fail(faces: tuple[Face, ...]) -> tuple[Face, ...]:
        raise RuntimeError("no choice")

    with pytest.raises(RuntimeError, match="no choice"):
        list(run(1000, choose=fail))
    assert run.is_closed


@pytest.mark.parametrize("cores", [1, 2, 3, 4, 16, 128])
def test_threads_are_at_least_one_and_do_not_outnumber_the_cores(cores: int) -> None:
    threads = Threads.of(cores)
    assert 1 <= threads.network <= cores
    assert 1 <= threads.workers <= cores


@pytest.mark.parametrize(
    ("cores", "network", "workers"),
    [(1, 1, 1), (2, 2, 1), (3, 3, 1), (4, 4, 2), (8, 8, 4), (15, 8, 7), (16, 8, 8), (128, 8, 8)],
)
def test_workers_take_half_the_cores(cores: int, network: int, workers: int) -> None:
    assert Threads.of(cores) == Threads(network, workers)


@pytest.mark.parametrize(("size", "swapped"), [(80, 0), (20, 1)], ids=["nearer", "farther"])
def test_a_face_behind_a_larger_one_is_not_pasted_over_it(size: float, swapped: int) -> None:
    """The other face's mesh lies over all of the chosen one."""
    _, chosen = two_faces()
    over = np.array([(60, 20), (120, 20), (120, 80), (60, 80)], np.float32)
    points = np.zeros((468, 3), np.float32)
    points[:, :2] = np.resize(over, (468, 2))
    other = people.face(65, 10, size)
    other = replace(other, mesh=replace(other.mesh, points=points))
    frame = frame_of(0)
    (result,) = FaceSwap(TintedSwapper(), {0: (1.0, 1.0, 1.0)})(
        [planned(frame, (other, chosen), (chosen,))]
    )
    assert result.visible == swapped
    (shown,) = result.faces
    assert (shown.covered.occluder, shown.covered.hand) == (0, 0)
    assert shown.covered.face == pytest.approx(1 - swapped, abs=0.2)
    changed = result.frame.planes[0] != frame.planes[0]
    assert changed[40:60, 80:100].any() == bool(swapped)
