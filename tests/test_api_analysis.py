"""A film is analysed once; swaps and the list of its people read the analysis."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Never

import numpy as np
import pytest

import engine
from engine.analysis.film_analysis import FilmAnalysis, read_analysis
from engine.api import Engine
from engine.errors import MediaError, OutputExists, ParameterError
from engine.faces.analyser import FaceAnalyser
from engine.faces.hands import HandFinder
from engine.media.decode import read_frames
from engine.media.output_file import _partial_name as partial_name
from engine.pipeline.analyse import frame_at
from engine.pipeline.video import Progress
from engine.pixels.planes import region
from engine.values import Rect
from tests.footage import MAN, STRANGER, TWO, asset, write_clip

QUICK: dict[str, Any] = {
    "swapper": "mesh",
    "pixel_boost": "128x128",
    "video_codec": "ffv1",
    "face_selector_mode": "many",
}
TIMES = (0, 40, 80, 120, 160, 200, 300, 340, 380)


@pytest.fixture(scope="module")
def warm() -> Iterator[Engine]:
    with Engine(device="cpu") as one:
        yield one


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("film") / "two people.mkv", TIMES)


@pytest.fixture(scope="module")
def analysis(warm: Engine, film: Path) -> FilmAnalysis:
    return warm.analyse(film, film.with_name("two people.faces"))


def decisions(trace: Path) -> list[tuple[object, ...]]:
    """Return the lines of a trace without coordinates, which an analysis rounds."""
    return [
        (line["pts"], line["cut"], *((face["track"], face["reason"]) for face in line["faces"]))
        for line in map(json.loads, trace.read_text("utf-8").splitlines())
    ]


def test_it_holds_every_face_of_every_frame(analysis: FilmAnalysis) -> None:
    frames = list(read_analysis(analysis.path).frames())
    assert [analysis.seconds(frame.pts) for frame in frames] == [time / 1000 for time in TIMES]
    assert [len(frame.faces) for frame in frames] == [2] * len(TIMES)
    assert [frame.cut for frame in frames] == [True] + [False] * (len(TIMES) - 1)
    assert all(face.embedding is not None for frame in frames for face in frame.faces)
    assert set(analysis.key.networks) >= {"embedder", "age", "gender", "hands"}


def test_the_people_are_told_apart(warm: Engine, film: Path, analysis: FilmAnalysis) -> None:
    people = warm.people(analysis)
    assert [person.frames for person in people] == [len(TIMES)] * 2
    seen = people[0].best[0]
    assert frame_at(film, analysis, seen.pts).pts == seen.pts


def test_a_swap_finds_no_face_again_and_makes_the_same_pictures(
    warm: Engine,
    film: Path,
    analysis: FilmAnalysis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    direct, replayed = tmp_path / "direct.mkv", tmp_path / "replayed.mkv"
    traces = tmp_path / "direct.jsonl", tmp_path / "replayed.jsonl"
    warm.swap(asset(STRANGER), film, direct, trace=traces[0], **QUICK)

    def refuse(*_: object) -> Never:
        raise AssertionError("The film is analysed again.")

    monkeypatch.setattr(FaceAnalyser, "analyse", refuse)
    monkeypatch.setattr(HandFinder, "add_hands", refuse)
    report = warm.swap(
        asset(STRANGER), film, replayed, analysis=analysis.path, trace=traces[1], **QUICK
    )
    assert report.faces_swapped == 2 * len(TIMES)
    assert decisions(traces[0]) == decisions(traces[1])
    for one, other in zip(read_frames(direct), read_frames(replayed), strict=True):
        assert one.pts == other.pts
        apart = region(one, Rect(0, 0, *one.size)) - region(other, Rect(0, 0, *one.size))
        # Coordinates are kept to 1/128 of a pixel.
        assert 10 * np.log10(1 / max(float(np.mean(apart**2)), 1e-12)) > 50


def test_a_swap_of_a_part_takes_the_analysis_of_the_whole(
    warm: Engine, film: Path, analysis: FilmAnalysis, tmp_path: Path
) -> None:
    part = tmp_path / "part.mkv"
    report = warm.swap(
        asset(STRANGER),
        film,
        part,
        analysis=analysis.path,
        **{**QUICK, "face_selector_mode": "reference", "start": 0.1, "end": 0.35},
    )
    assert (report.frames, report.faces_swapped) == (5, 5)


def test_an_analysis_of_another_film_is_refused(
    warm: Engine, analysis: FilmAnalysis, tmp_path: Path
) -> None:
    other = write_clip(tmp_path / "other.mkv", TIMES[:3], TWO[:1])
    with pytest.raises(ParameterError, match=r"analysis is .*, but it is of another film; make it"):
        warm.swap(asset(MAN), other, tmp_path / "out.mkv", analysis=analysis.path, **QUICK)
    assert not (tmp_path / "out.mkv").exists()


def test_an_analysis_by_other_options_is_refused(
    warm: Engine, film: Path, analysis: FilmAnalysis, tmp_path: Path
) -> None:
    options = {**QUICK, "detect_every": 2}
    with pytest.raises(ParameterError, match="it was made with detect_every 5, not 2"):
        warm.swap(asset(MAN), film, tmp_path / "out.mkv", analysis=analysis.path, **options)


@pytest.mark.parametrize("landmarker", ["face_mesh", "face_mesh_478"])
def test_an_analysis_by_more_landmarkers_is_refused(
    warm: Engine, film: Path, analysis: FilmAnalysis, landmarker: str
) -> None:
    with pytest.raises(ParameterError, match=rf"face_mesh_478 and face_mesh, not {landmarker};"):
        warm.open_analysis(film, analysis.path, landmarker=landmarker)


def test_what_cannot_be_analysed_is_told(warm: Engine, film: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a picture; `faceswap-engine faces` lists its faces"):
        warm.analyse(asset(MAN), tmp_path / "one.faces")
    there = tmp_path / "there.faces"
    there.write_text("precious")
    with pytest.raises(OutputExists, match=r"there\.faces exists"):
        warm.analyse(film, there)
    with pytest.raises(MediaError, match="does not exist; create it first"):
        warm.analyse(film, tmp_path / "nowhere" / "one.faces")
    assert there.read_text() == "precious"


def test_a_pipe_is_no_place_for_an_analysis(warm: Engine, film: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match="is a pipe, a device or a stream"):
        warm.analyse(film, tmp_path / "pipe", overwrite=True)


def test_what_appeared_meanwhile_and_an_observers_error_stay(
    warm: Engine, film: Path, tmp_path: Path
) -> None:
    output = tmp_path / "one.faces"

    def write_output(_: Progress) -> None:
        output.write_text("precious")

    with pytest.raises(OutputExists):
        warm.analyse(film, output, observe=write_output)
    assert output.read_text() == "precious"

    def time_out(_: Progress) -> None:
        raise TimeoutError("too late")

    with pytest.raises(TimeoutError, match="too late"):
        warm.analyse(film, output, observe=time_out, overwrite=True)
    abandoned = partial_name(output)
    abandoned.write_text("a part")
    warm.analyse(film, output, overwrite=True)
    assert list(tmp_path.iterdir()) == [output]


def test_a_stop_leaves_no_file(warm: Engine, film: Path, tmp_path: Path) -> None:
    def stop(progress: Progress) -> None:
        assert progress.stage == "analysing"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        warm.analyse(film, tmp_path / "one.faces", observe=stop)
    assert list(tmp_path.iterdir()) == []


def test_parameters_without_effect_on_an_analysis_are_refused(
    warm: Engine, film: Path, tmp_path: Path
) -> None:
    with pytest.raises(ParameterError, match=r"crf, start cannot be chosen for an analysis; allow"):
        warm.analyse(film, tmp_path / "one.faces", start=1, crf=20)
    assert list(tmp_path.iterdir()) == []


def test_the_report_says_that_an_analysis_was_used(
    film: Path, analysis: FilmAnalysis, tmp_path: Path
) -> None:
    report = engine.swap(
        asset(STRANGER), film, tmp_path / "out.mkv", analysis=analysis.path, **QUICK
    )
    assert f"faces, tracks and hands of the target were read from {analysis.path}." in report.notes


def test_an_analysis_that_is_held_serves_as_its_file_does(
    warm: Engine, film: Path, analysis: FilmAnalysis, tmp_path: Path
) -> None:
    one, other = tmp_path / "file.mkv", tmp_path / "held.mkv"
    read = warm.swap(asset(STRANGER), film, one, analysis=analysis.path, **QUICK)
    held = warm.swap(asset(STRANGER), film, other, analysis=analysis, **QUICK)
    assert read.notes == held.notes
    for frame, again in zip(read_frames(one), read_frames(other), strict=True):
        assert np.array_equal(frame.to_rgb(), again.to_rgb())


def test_a_picture_needs_no_analysis(warm: Engine, analysis: FilmAnalysis, tmp_path: Path) -> None:
    both: tuple[FilmAnalysis | Path, ...] = (analysis, analysis.path)
    for given in both:
        with pytest.raises(ParameterError, match=r"is of a film.*is a picture; leave analysis out"):
            warm.swap(asset(STRANGER), asset(MAN), tmp_path / "out.png", analysis=given)
