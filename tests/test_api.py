"""Whole swaps, from files to files, with the embedded networks."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import engine
from engine.api import Engine
from engine.errors import (
    Cancelled,
    ContentBlocked,
    EngineError,
    MediaError,
    NoFaceFound,
    OutputExists,
    ParameterError,
    SourceUnfit,
    WeightsMissing,
)
from engine.media.decode import read_frames, read_image
from engine.options import PixelBoost, SelectorOrder
from engine.pipeline.video import Progress
from engine.pixels.planes import region
from engine.values import Aligned, Bytes, Frame, Patch, Rect
from tests.doubles import IdentitySwapper, TintedSwapper
from tests.footage import (
    HEIGHT,
    MAN,
    STRANGER,
    TWO,
    WIDTH,
    WOMAN,
    Spot,
    asset,
    picture,
    portrait,
    sound,
    write_clip,
    write_png,
)
from tests.media.looks import provenance
from tests.synth import Tags

# Not a constant rate, and not from zero.
TIMES = (40, 80, 120, 200, 240, 245, 330, 370, 450, 490, 530, 600)
SOURCE = asset(STRANGER)
FINDERS = ("yunet", "face_mesh", "face_mesh_478", "palm_detection", "hand_landmark")
QUICK: dict[str, Any] = {"pixel_boost": "128x128", "video_codec": "ffv1"}


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "two people.mkv", TIMES)


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO))


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Path]:
    """Return an output path; check that no other file and no thread remain after the test."""
    folder = tmp_path / "results"
    folder.mkdir()
    before = set(threading.enumerate())
    yield folder / "result.mkv"
    assert set(threading.enumerate()) <= before
    assert {path.name for path in folder.iterdir()} <= {"result.mkv", "result.png", "result.jpg"}


def changed_halves(before: Sequence[Frame], after: Sequence[Frame]) -> tuple[bool, bool]:
    """Return whether any sample of the left and of the right half differs in any frame."""
    halves = [False, False]
    for one, other in zip(before, after, strict=True):
        for old, new in zip(one.planes, other.planes, strict=True):
            middle = old.shape[1] // 2
            for side, columns in enumerate((slice(0, middle), slice(middle, None))):
                halves[side] |= not np.array_equal(old[:, columns], new[:, columns])
    return halves[0], halves[1]


def halves(target: Path, output: Path) -> tuple[bool, bool]:
    return changed_halves(list(read_frames(target)), list(read_frames(output)))


def test_a_video_keeps_its_frames_times_sound_and_all_that_no_face_touches(
    warm: Engine, clip: Path, output: Path
) -> None:
    seen: list[Progress] = []
    report = warm.swap(SOURCE, clip, output, observe=seen.append, **QUICK)

    before, after = list(read_frames(clip)), list(read_frames(output))
    assert [float(f.pts * f.time_base) for f in after] == [
        float(f.pts * f.time_base) for f in before
    ]
    assert [round(float(f.pts * f.time_base) * 1000) for f in after] == list(TIMES)
    assert sound(output) == sound(clip)
    assert report.frames == len(TIMES)
    stages = list(dict.fromkeys(one.stage for one in seen))
    assert stages == [
        "loading networks",
        "reading the source",
        "checking content",
        "finding the reference",
        "swapping",
        "writing",
    ]
    counted = [one.done for one in seen if one.stage == "swapping"]
    assert counted == list(range(len(TIMES) + 1))
    assert (seen[-1].stage, seen[-1].done) == ("writing", len(TIMES))
    # The largest face of the first frame is somebody's, and the other person's half is intact.
    assert sorted(changed_halves(before, after)) == [False, True]
    assert report.faces_seen == 2 * len(TIMES)
    assert report.faces_swapped == report.frames_with_swap == len(TIMES)
    rows = slice(0, 20)
    for one, other in zip(before, after, strict=True):
        assert np.array_equal(one.planes[0][rows], other.planes[0][rows])


def test_the_report_tells_whom_it_meant_and_how_near_they_were(
    warm: Engine, clip: Path, output: Path
) -> None:
    report = warm.swap(SOURCE, clip, output, **QUICK)
    (reference,) = report.selection.references
    assert "frame 1" in reference.where
    assert report.selection.distance_limit == 0.6
    assert report.selection.smallest_accepted is not None
    assert report.selection.nearest_rejected is not None
    assert (
        report.selection.smallest_accepted
        <= (report.selection.mean_accepted or 0)
        < 0.6
        < report.selection.nearest_rejected
    )
    assert report.warnings == ()
    assert report.content.checked
    assert (report.content.target_previewed, report.content.target_samples) == (1, 1)
    assert 0 <= (report.content.target_score or 0) < 0.2
    stages = report.stage_seconds
    assert min(stages.decode, stages.analyse, stages.swap, stages.encode) > 0
    told = json.loads(json.dumps(report.to_dict()))
    assert told["swapper"] == {"name": "mesh", "reason": report.setup.swapper.reason}
    assert told["parameters"]["pixel_boost"] == "128x128"
    assert told["output"] == str(output)


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"face_selector_mode": "many"}, (True, True)),
        ({"face_selector_mode": "one", "face_selector_order": "left-right"}, (True, False)),
        ({"face_selector_mode": "one", "face_selector_order": "right-left"}, (False, True)),
        ({"face_selector_mode": "many", "face_selector_gender": "female"}, (True, False)),
        ({"face_selector_mode": "many", "face_selector_gender": "male"}, (False, True)),
        ({"face_selector_order": "left-right"}, (True, False)),
        ({"face_selector_order": "left-right", "reference_face_position": 1}, (False, True)),
        ({"face_selector_gender": "male"}, (False, True)),
        ({"reference_image": [asset(MAN, "amateur_selfie")]}, (False, True)),
        ({"reference_image": [asset(WOMAN, "amateur_selfie"), asset(MAN)]}, (True, True)),
        ({"face_selector_mode": "many", "face_selector_age_start": 99}, (False, False)),
        ({"reference_image": str(SOURCE), "reference_face_distance": 0.1}, (False, False)),
    ],
    ids=lambda value: "-".join(map(str, value.values()))[:40] if isinstance(value, dict) else "",
)
def test_every_mode_changes_those_it_means_and_nobody_else(
    warm: Engine, still: Path, output: Path, parameters: dict[str, Any], expected: tuple[bool, bool]
) -> None:
    result = output.with_suffix(".png")
    report = warm.swap(SOURCE, still, result, pixel_boost="128x128", **parameters)
    assert halves(still, result) == expected
    assert report.faces_swapped == sum(expected)
    assert bool(report.warnings) == (expected == (False, False))


def test_when_nobody_is_swapped_the_report_says_why(warm: Engine, clip: Path, output: Path) -> None:
    report = warm.swap(
        SOURCE, clip, output, reference_image=SOURCE, reference_face_distance=0.05, **QUICK
    )
    assert halves(clip, output) == (False, False)
    (warning,) = report.warnings
    assert "reference_face_distance is 0.05" in warning
    assert f"{report.selection.nearest_rejected:.2f}" in warning


class Fading(IdentitySwapper):
    """A swapper that fades every face."""

    def swap(self, targets: Sequence[Aligned], sources: Sequence[str]) -> list[Patch]:
        return [
            replace(patch, mask=patch.mask * np.float32(0.05))
            for patch in super().swap(targets, sources)
        ]


def test_faces_on_which_the_swap_cannot_be_seen_are_not_called_swapped(
    still: Path, output: Path
) -> None:
    with Engine(swapper=Fading()) as one:
        report = one.swap(SOURCE, still, output.with_suffix(".png"), face_selector_mode="many")
    assert (report.faces_seen, report.faces_swapped, report.faces_faded) == (2, 0, 2)
    assert report.frames_with_swap == 0
    (warning,) = report.warnings
    assert warning.startswith("No face was swapped: 2 of 2 chosen faces stay as they were, as ")


def test_a_frame_without_a_face_is_no_error(warm: Engine, tmp_path: Path, output: Path) -> None:
    empty = write_clip(tmp_path / "empty.mkv", TIMES[:3], spots=())
    report = warm.swap(SOURCE, empty, output, face_selector_mode="many", **QUICK)
    assert halves(empty, output) == (False, False)
    assert (report.frames, report.faces_seen) == (3, 0)
    assert "none was found in any of the 3 frames" in report.warnings[0]


def test_a_part_of_a_video_is_swapped_alone(warm: Engine, clip: Path, output: Path) -> None:
    report = warm.swap(
        SOURCE, clip, output, start=0.1, end="0.4", face_selector_mode="one", **QUICK
    )
    # From the first picture, at 40 ms: 200, 240, 245, 330, 370.
    assert report.frames == 5
    assert len(list(read_frames(output))) == 5


def test_the_reference_frame_is_counted_from_one(
    warm: Engine, tmp_path: Path, output: Path
) -> None:
    """The first two frames show nobody, so the reference is read from the third."""
    target = write_clip(
        tmp_path / "late.mkv",
        TIMES[:6],
        paint=lambda index, _: picture(TWO if index >= 2 else (), index),
    )
    with pytest.raises(NoFaceFound, match=r"frame 1 .* choose a frame .*reference_frame_number"):
        warm.swap(SOURCE, target, output, **QUICK)
    report = warm.swap(SOURCE, target, output, reference_frame_number=3, **QUICK)
    assert report.frames_with_swap == 4
    with pytest.raises(ParameterError, match=r"7.*only 6 frames"):
        warm.swap(SOURCE, target, output, reference_frame_number=7, overwrite=True, **QUICK)


def turned(index: int, size: tuple[int, int]) -> Bytes:
    """Return the people lying on their side: a display rotation of 90 degrees puts them upright."""
    return np.ascontiguousarray(np.rot90(picture(TWO, index), -1))


FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("turned.mkv", {"paint": turned, "size": (HEIGHT, WIDTH), "rotation": 90}),
    ("ten bits.mkv", {"pix_fmt": "yuv420p10le", "codec": "ffv1"}),
    ("full colour.mkv", {"pix_fmt": "yuv444p", "tags": Tags(1, 1, 1)}),
    ("full range.mkv", {"tags": Tags(5, 6, 5, full=True)}),
]


@pytest.mark.parametrize(("name", "properties"), FORMATS, ids=lambda value: str(value)[:12])
def test_any_kind_of_video_is_swapped_in_its_own_samples(
    warm: Engine, tmp_path: Path, output: Path, name: str, properties: dict[str, Any]
) -> None:
    target = write_clip(tmp_path / name, TIMES[:3], **properties)
    report = warm.swap(
        SOURCE, target, output, face_selector_mode="one", face_selector_order="left-right", **QUICK
    )
    before, after = list(read_frames(target)), list(read_frames(output))
    assert report.faces_swapped == 3
    assert [frame.format for frame in after] == [frame.format for frame in before]
    assert after[0].orientation == before[0].orientation
    # Whoever is on the right as displayed is untouched.
    for one, other in zip(before, after, strict=True):
        rect = Rect(WIDTH // 2 + 10, 0, WIDTH, HEIGHT)
        assert np.array_equal(region(one, rect), region(other, rect))


@pytest.mark.parametrize("boost", ["256x256", "512x512"])
def test_an_identity_swapper_gives_the_faces_back(
    clip: Path, output: Path, boost: PixelBoost
) -> None:
    with Engine(device="cpu", swapper=IdentitySwapper()) as one:
        report = one.swap(
            SOURCE,
            clip,
            output,
            face_selector_mode="many",
            video_codec="ffv1",
            pixel_boost=boost,
        )
    assert report.setup.swapper.name == "identity"
    assert report.faces_swapped == 2 * len(TIMES)
    for old, new in zip(read_frames(clip), read_frames(output), strict=True):
        error = old.planes[0].astype(np.float64) - new.planes[0]
        assert 10 * np.log10(255**2 / np.mean(error[60:190] ** 2)) >= 42


def test_what_the_source_is_arrives_in_the_faces(still: Path, tmp_path: Path) -> None:
    blue = np.full((HEIGHT, WIDTH, 3), (10, 20, 230), np.uint8)
    blue[40:210, 100:270] = picture((Spot(WOMAN, 100),))[40:210, 100:270]
    source = write_png(tmp_path / "blue.png", blue)
    result = tmp_path / "result.png"
    with Engine(device="cpu", swapper=TintedSwapper()) as one:
        one.swap(source, still, result, face_selector_mode="many", pixel_boost="128x128")
    mean = blue.reshape(-1, 3).mean(axis=0)
    after = read_image(result)
    for x in (100, 300):
        colour = [int(plane[125, x]) for plane in after.planes]
        assert np.abs(np.array(colour) - mean).max() <= 3


def test_a_picture_keeps_its_transparency(warm: Engine, tmp_path: Path, output: Path) -> None:
    alpha = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH, 1)
    target = write_png(tmp_path / "clear.png", np.concatenate([picture(TWO), alpha], axis=2))
    result = output.with_suffix(".png")
    warm.swap(SOURCE, target, result, face_selector_mode="many", pixel_boost="128x128")
    after = read_image(result)
    assert np.array_equal(after.planes[3], alpha[..., 0])


def test_outputs_say_that_they_are_synthetic(
    warm: Engine, clip: Path, still: Path, output: Path
) -> None:
    report = warm.swap(SOURCE, clip, output, content_check=False, **QUICK)
    assert not report.content.checked
    said = provenance(output) or ""
    assert "Synthetic" in said
    assert "content check turned off" in said
    result = output.with_suffix(".jpg")
    warm.swap(SOURCE, still, result, pixel_boost="128x128")
    assert "content check passed" in (provenance(result) or "")


def picture_in(path: Path) -> Bytes:
    frame = read_image(path)
    return np.stack(frame.planes[:3])


@pytest.fixture
def half(tmp_path: Path) -> Path:
    """Write a picture with half of the source's face."""
    pixels = portrait(STRANGER, 512)
    return write_png(tmp_path / "half.png", pixels[:, :256])


def test_a_source_that_hides_its_face_is_refused_with_the_remedy(
    warm: Engine, still: Path, half: Path, output: Path
) -> None:
    result = output.with_suffix(".png")
    with pytest.raises(
        SourceUnfit, match=r"half.png has \d+% of the face outside .*detect_rotated .*any_source"
    ):
        warm.swap(half, still, result, pixel_boost="128x128")
    assert not result.exists()


def test_any_source_goes_on_with_a_warning(
    warm: Engine, still: Path, half: Path, output: Path
) -> None:
    result = output.with_suffix(".png")
    report = warm.swap(half, still, result, pixel_boost="128x128", any_source=True)
    assert result.exists()
    assert any("of the face outside its border" in warning for warning in report.warnings)


def test_another_picture_of_the_source_shows_what_the_first_hides(
    warm: Engine, still: Path, half: Path, output: Path, tmp_path: Path
) -> None:
    result = output.with_suffix(".png")
    report = warm.swap(half, still, result, pixel_boost="128x128", extra_source_image=[SOURCE])
    (cut,) = report.warnings
    assert "of the face outside its border" in cut
    alone = tmp_path / "alone.png"
    warm.swap(SOURCE, still, alone, pixel_boost="128x128")
    assert np.array_equal(picture_in(result), picture_in(alone))


def test_several_faces_in_the_source_are_told_of_and_the_largest_is_taken(
    warm: Engine, still: Path, tmp_path: Path, output: Path
) -> None:
    crowd = picture(TWO)
    crowd = np.asarray(cv2.resize(crowd, (2 * WIDTH, 2 * HEIGHT)), np.uint8)
    crowd[:120, :200] = picture((Spot(STRANGER, 15),))[20:140, 0:200]
    source = write_png(tmp_path / "crowd.png", crowd)
    report = warm.swap(source, still, output.with_suffix(".png"), pixel_boost="128x128")
    (note,) = report.notes
    assert "faces; the largest clear one is taken" in note
    assert "crowd.png" in note


@pytest.mark.parametrize("order", ["left-right", "right-left"])
@pytest.mark.parametrize("position", [0, 1])
def test_order_and_position_name_a_face_of_the_reference_picture_too(
    warm: Engine, clip: Path, still: Path, output: Path, order: SelectorOrder, position: int
) -> None:
    report = warm.swap(
        SOURCE,
        clip,
        output,
        reference_image=still,
        face_selector_order=order,
        reference_face_position=position,
        **{**QUICK, "end": 0.1},
    )
    is_left = (order == "left-right") == (position == 0)
    (reference,) = report.selection.references
    assert (reference.box.left < WIDTH / 2) == is_left
    (note,) = report.notes
    assert "shows 2 faces; the one taken is" in note


def test_one_engine_serves_several_threads(warm: Engine, still: Path, tmp_path: Path) -> None:
    results = [tmp_path / f"{number}.png" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(partial(warm.swap, SOURCE, still, pixel_boost="128x128"), results))
    first, *others = [result.read_bytes() for result in results]
    assert others == [first] * 3


def test_the_same_swap_gives_the_same_bytes(warm: Engine, clip: Path, tmp_path: Path) -> None:
    results = [tmp_path / f"{number}.mkv" for number in range(2)]
    for result in results:
        warm.swap(SOURCE, clip, result, end=0.3, face_selector_mode="many", **QUICK)
    one, other = (list(read_frames(result)) for result in results)
    for first, second in zip(one, other, strict=True):
        assert all(map(np.array_equal, first.planes, second.planes))


def test_only_the_networks_that_the_request_needs_are_loaded(still: Path, output: Path) -> None:
    result = output.with_suffix(".png")
    loaded = []
    with Engine(device="cpu") as one:
        for parameters in (
            {"face_selector_mode": "many", "content_check": False},
            {"face_selector_mode": "many", "face_selector_age_end": 99},
            {"face_selector_gender": "female"},
        ):
            one.swap(SOURCE, still, result, overwrite=True, pixel_boost="128x128", **parameters)
            loaded.append({name for name, _ in one._networks._sessions})
    assert loaded == [
        {*FINDERS, "occluder"},
        {*FINDERS, "occluder", "open_nsfw", "age"},
        {*FINDERS, "occluder", "open_nsfw", "age", "gender", "sface"},
    ]


def test_a_whole_swap_needs_no_network(
    monkeypatch: pytest.MonkeyPatch, clip: Path, output: Path
) -> None:
    def refuse(*args: object, **named: object) -> None:
        raise AssertionError(f"the engine opened a socket: {args} {named}")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    report = engine.swap(SOURCE, clip, output, end=0.2, **QUICK)
    assert report.faces_swapped


def test_faces_are_listed_as_the_reference_position_counts_them(warm: Engine, clip: Path) -> None:
    found = warm.faces(clip, 2, [asset(MAN, "amateur_selfie")], face_selector_order="right-left")
    right, left = found.faces
    assert right.box.left > left.box.left
    assert (right.attributes and right.attributes.gender) == "male"
    assert (left.attributes and left.attributes.gender) == "female"
    near, far = found.distances
    assert near is not None
    assert far is not None
    assert near < 0.6 < far
    assert found.frame.size == (WIDTH, HEIGHT)


def test_a_frame_that_cannot_be_is_named_as_it_was_given(warm: Engine, still: Path) -> None:
    with pytest.raises(ParameterError, match=r"^frame is -3; allowed: a whole number from 0\.$"):
        warm.faces(still, -3)


def test_without_a_reference_faces_have_no_distance(warm: Engine, still: Path) -> None:
    found = warm.faces(still, face_selector_gender="male")
    assert found.distances == (None,)
    assert found.faces[0].embedding is None


@dataclass
class FailingSwapper(IdentitySwapper):
    """A swapper that fails at its fifth face."""

    name: str = "failing"
    count: int = 0

    def swap(self, targets: Sequence[Aligned], sources: Sequence[str]) -> list[Patch]:
        self.count += 1
        if self.count == 5:
            raise RuntimeError("the fifth face")
        return super().swap(targets, sources)


def test_a_failure_in_the_middle_leaves_no_file(clip: Path, output: Path) -> None:
    with (
        Engine(device="cpu", swapper=FailingSwapper()) as one,
        pytest.raises(RuntimeError, match="the fifth face"),
    ):
        one.swap(SOURCE, clip, output, **QUICK)
    assert list(output.parent.iterdir()) == []


def test_an_observer_that_raises_ends_the_run_and_leaves_no_file(
    warm: Engine, clip: Path, output: Path
) -> None:
    def stop(progress: Progress) -> None:
        if progress.done == 3:
            raise Cancelled("stopped at frame 3")

    with pytest.raises(Cancelled, match="frame 3"):
        warm.swap(SOURCE, clip, output, observe=stop, **QUICK)
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("is_source", [True, False])
def test_refused_material_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, clip: Path, output: Path, *, is_source: bool
) -> None:
    looks = 0

    def score(*_: object) -> float:
        nonlocal looks
        looks += 1
        return 0.95 if is_source or looks > 1 else 0.0

    monkeypatch.setattr("engine.trust.content.explicit_score", score)
    # It is looked at before the work: nothing was swapped, and no refused source was prepared.
    monkeypatch.setattr("engine.swappers.mesh.warp.MeshWarp.swap", None)
    if is_source:
        monkeypatch.setattr("engine.swappers.mesh.warp.MeshWarp.prepare", None)
    named = SOURCE if is_source else clip
    with (
        Engine(device="cpu") as one,
        pytest.raises(ContentBlocked, match=f"refuses {named}"),
    ):
        one.swap(SOURCE, clip, output, **QUICK)
    assert list(output.parent.iterdir()) == []


def test_an_output_that_exists_is_kept_unless_overwriting_is_asked_for(
    warm: Engine, still: Path, output: Path
) -> None:
    result = output.with_suffix(".png")
    result.write_bytes(b"precious")
    with pytest.raises(OutputExists):
        warm.swap(SOURCE, still, result)
    assert result.read_bytes() == b"precious"
    warm.swap(SOURCE, still, result, overwrite=True, pixel_boost="128x128")
    assert read_image(result).size == (WIDTH, HEIGHT)


BAD: list[tuple[dict[str, Any], type[EngineError], str]] = [
    ({"source_image": "https://example.org/a.jpg"}, ParameterError, "source_image.*no network"),
    ({"target": "rtsp://camera/1"}, ParameterError, "target.*no network"),
    ({"output": "s3://bucket/x.mp4"}, ParameterError, "output.*no network"),
    ({"source_image": "data:image/png;base64,AAAA"}, ParameterError, "source_image"),
    ({"reference_image": "http://example.org/a.jpg"}, ParameterError, "reference_image"),
    ({"swapper": "unheard_of"}, ParameterError, "swapper is 'unheard_of'.*mesh"),
    ({"precision": "fp16", "swapper": "mesh"}, ParameterError, "mesh has no network.*fp32"),
    ({"pixel_boost": "100x100"}, ParameterError, "pixel_boost"),
    ({"face_selector": "many"}, ParameterError, "face_selector"),
    ({"source_image": "no such.jpg"}, MediaError, "no such.jpg"),
    ({"target": "no such.mp4"}, MediaError, "no such.mp4"),
    ({"reference_image": "no such.jpg"}, MediaError, "no such.jpg"),
    ({"output": "no such folder/x.mkv"}, MediaError, "no such folder"),
    ({"output": "x.png"}, MediaError, "is a video, but the output"),
    ({"face_selector_race": "asian"}, WeightsMissing, "fairface.*weights import PATH"),
    ({"face_selector_age_start": 100}, NoFaceFound, "age 100 to 100"),
    ({"reference_face_position": 2}, NoFaceFound, "reference_face_position is 2"),
]


@pytest.mark.parametrize(("wrong", "kind", "words"), BAD, ids=lambda value: str(value)[:50])
def test_bad_input_is_one_clear_error_and_no_file(
    warm: Engine,
    clip: Path,
    output: Path,
    wrong: dict[str, Any],
    kind: type[EngineError],
    words: str,
) -> None:
    given = {"source_image": SOURCE, "target": clip, "output": output, **wrong}
    if wrong.get("output") == "x.png":
        given["output"] = output.with_suffix(".png")
    with pytest.raises(kind, match=words):
        warm.swap(**given)
    assert list(output.parent.iterdir()) == []


def test_a_picture_cannot_become_a_video(warm: Engine, still: Path, output: Path) -> None:
    with pytest.raises(MediaError, match="is a picture, but the output"):
        warm.swap(SOURCE, still, output)


@pytest.mark.parametrize("field", ["source_image", "reference_image"])
def test_a_picture_without_a_face_is_named(
    warm: Engine, still: Path, tmp_path: Path, output: Path, field: str
) -> None:
    wall = write_png(tmp_path / "wall.png", picture(()))
    given: dict[str, Any] = {"source_image": SOURCE, field: wall}
    with pytest.raises(NoFaceFound, match=rf"{field} .*wall\.png; choose a picture") as refused:
        warm.swap(target=still, output=output.with_suffix(".png"), **given)
    assert "frame" not in str(refused.value)


@pytest.mark.parametrize("field", ["source_image", "target", "reference_image"])
def test_a_face_that_is_not_upright_is_refused_with_the_remedy(
    warm: Engine, still: Path, tmp_path: Path, output: Path, field: str
) -> None:
    lying = write_png(tmp_path / "lying.png", np.rot90(portrait("P005", 384)))
    given: dict[str, Any] = {"source_image": SOURCE, "target": still, field: lying, **QUICK}
    result = output.with_suffix(".png")
    with pytest.raises(NoFaceFound, match=r"lying\.png; choose .*, or set detect_rotated"):
        warm.swap(output=result, **given)
    report = warm.swap(output=result, detect_rotated=True, **given)
    assert report.faces_seen > 0


def test_a_target_without_a_face_is_warned_of_with_the_remedy(
    warm: Engine, tmp_path: Path, output: Path
) -> None:
    wall, result = write_png(tmp_path / "wall.png", picture(())), output.with_suffix(".png")
    quick: dict[str, Any] = {**QUICK, "face_selector_mode": "many", "overwrite": True}
    for rotated in (False, True):
        report = warm.swap(SOURCE, wall, result, detect_rotated=rotated, **quick)
        (warning,) = report.warnings
        assert "choose another target" in warning
        assert ("set detect_rotated" in warning) is not rotated


@pytest.mark.parametrize("threads", [0, -1, 1.5, "x", True])
def test_threads_are_a_whole_number_from_one(threads: Any) -> None:
    with pytest.raises(ParameterError, match=f"threads is {threads!r}; allowed: a whole number"):
        Engine(threads=threads)


@pytest.mark.parametrize("swapper", [3, None, object(), Path("mesh")])
def test_what_is_no_swapper_is_refused_at_once(swapper: Any) -> None:
    with pytest.raises(ParameterError, match=r"^swapper is .*; allowed: 'auto', the name of a"):
        Engine(swapper=swapper)


@pytest.mark.parametrize("field", ["source_image", "target", "output"])
@pytest.mark.parametrize("given", [b"x.png", 3, None])
def test_what_is_no_path_is_refused(warm: Engine, still: Path, field: str, given: Any) -> None:
    paths: dict[str, Any] = {"source_image": SOURCE, "target": still, "output": "x.png"}
    with pytest.raises(ParameterError, match=rf"^{field} is {given!r}; allowed: the path of a fil"):
        warm.swap(**{**paths, field: given})


def test_a_closed_engine_loads_anew(still: Path, output: Path) -> None:
    one = Engine(device="cpu")
    for _ in range(2):
        one.swap(SOURCE, still, output.with_suffix(".png"), overwrite=True, pixel_boost="128x128")
        one.close()
        assert not one._networks._sessions
