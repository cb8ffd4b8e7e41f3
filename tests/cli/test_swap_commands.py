"""`swap` and `faces` from the command line to files, with the embedded networks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from engine.cli import progress
from engine.cli.commands import main
from engine.media.decode import read_image
from engine.pipeline.records import FrameRecord
from tests.footage import STRANGER, TWO, WOMAN, asset, picture, write_clip, write_png

SOURCE = str(asset(STRANGER))
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep lines of progress, which a slow machine prints, away from what the tests read."""
    monkeypatch.setattr(progress, "plain", partial(progress.plain, every=3600.0))


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_png(tmp_path_factory.mktemp("still") / "two.png", picture(TWO)))


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A picture of nobody."""
    return str(write_png(tmp_path_factory.mktemp("wall") / "wall.png", picture(())))


def test_a_swap_says_what_it_did(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    assert main(["swap", SOURCE, still, "-o", str(output), "--face-selector-mode", "many"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(f"{output}: 2 of 2 faces swapped in 1 frame, ")
    assert output.is_file()


def test_the_report_is_json_and_alone_on_stdout(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    arguments = ["--face-selector-mode", "one", "--crf", "20", "--detect-every", "3", "--json"]
    assert main(["swap", SOURCE, still, "-o", str(output), *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["frames"], report["faces_seen"], report["faces_swapped"]) == (1, 2, 1)
    assert report["swapper"]["name"] == "mesh"
    assert report["parameters"]["crf"] == 20
    assert report["parameters"]["detect_every"] == 3
    assert {"decode", "analyse", "swap", "encode"} == report["stage_seconds"].keys()


def test_a_source_of_several_people_is_noted(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["swap", still, still, "-o", str(tmp_path / "out.png")]) == 0
    said = capsys.readouterr().err
    assert said.startswith("note: ")
    assert "2 faces" in said


def test_warnings_and_notes_name_options(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.png")
    arguments = ["--reference-face-distance", "0", "--reference-image", SOURCE]
    unused = ["--enhance-blend", "0.5"]
    assert main(["swap", SOURCE, still, "-o", output, *arguments, *unused]) == 0
    said = capsys.readouterr().err.splitlines()
    notes = [line for line in said if line.startswith("note: ")]
    warnings = [line for line in said if line.startswith("warning: ")]
    assert any("--enhance-blend" in note for note in notes)
    assert any("--reference-face-distance is 0" in warning for warning in warnings)
    assert not any("_" in line.replace(str(tmp_path), "") for line in said)


@pytest.mark.parametrize("quiet", ["-q", "--quiet"])
def test_a_quiet_swap_prints_nothing_but_what_was_asked_for(
    quiet: str, still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "out.png")
    assert main(["swap", still, still, "-o", output, "--pixel-boost", "128", quiet]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["swap", still, still, "-o", output, "--overwrite", "--json", quiet]) == 0
    said = capsys.readouterr()
    assert (json.loads(said.out)["output"], said.err) == (output, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["{source}", "{still}", "-o", "{folder}/o.png", "--pixel-boost", "9x9"], 2, "9x9"),
        (["{source}", "{still}", "-o", "{folder}/o.png", "--swapper", "best"], 2, "best"),
        (["{folder}/none.jpg", "{still}", "-o", "{folder}/o.png"], 3, "none.jpg does not exist"),
        (["{source}", "{folder}", "-o", "{folder}/o.png"], 2, "is no folder; name one for"),
        (["{source}", "{still}", "-o", "{still}", "--overwrite"], 3, "also an input"),
        (["{source}", "{still}", "-o", "{source}"], 3, ""),
        (["{source}", "{still}", "-o", "{folder}/none/o.png"], 3, "does not exist"),
        (["{wall}", "{still}", "-o", "{folder}/o.png"], 4, "No face was found in SOURCE {wall}; "),
        (
            ["{source}", "{wall}", "-o", "{folder}/o.png"],
            4,
            "choose another target, or set --detect-rotated",
        ),
        (
            ["{source}", "{still}", "-o", "{folder}/o.png", "--reference-image", "{wall}"],
            4,
            "No face was found in --reference-image {wall}; choose a picture",
        ),
        (
            ["{source}", "{still}", "-o", "{folder}/o.png", "--reference-face-position", "2"],
            4,
            "error: --reference-face-position is 2, but frame 1 of {still} offers 2 faces",
        ),
        (
            ["{source}", "{still}", "-o", "{folder}/o.png", "--face-selector-race", "asian"],
            5,
            "weights import PATH",
        ),
    ],
)
def test_a_failure_is_one_sentence_a_code_and_no_output(
    arguments: list[str],
    code: int,
    words: str,
    still: str,
    wall: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path.parent / "no imported weights"))
    *filled, words = (
        text.format(source=SOURCE, still=still, wall=wall, folder=tmp_path)
        for text in (*arguments, words)
    )
    assert main(["swap", *filled]) == code
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert words in said.err
    assert said.err.count("\n") == 1
    assert not said.out
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_exists_needs_overwrite(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.png"
    output.write_bytes(b"mine")
    arguments = ["swap", SOURCE, still, "-o", str(output)]
    assert main(arguments) == 3
    assert output.read_bytes() == b"mine"
    assert main([*arguments, "--overwrite"]) == 0
    assert output.read_bytes() != b"mine"
    capsys.readouterr()


def test_faces_are_listed_and_drawn(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "faces.png"
    reference = str(asset(WOMAN))
    order = ["--face-selector-order", "left-right"]
    arguments = ["faces", still, *order, "--reference", reference, "--sheet", str(sheet)]
    assert main([*arguments, "--json"]) == 0
    said = capsys.readouterr()
    woman, man = json.loads(said.out)
    assert said.err == f"wrote {sheet}\n"
    assert (woman["index"], man["index"]) == (0, 1)
    assert woman["box"][0] < man["box"][0]
    assert woman["distance"] < 0.5 < man["distance"]
    assert (woman["gender"], man["gender"]) == ("female", "male")
    assert read_image(sheet).size[0] > 1000
    assert main([*arguments, "--overwrite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["face", "box", "score", "age", "gender", "race", "distance"]
    assert len(lines) == 3


def test_an_index_is_the_position_that_a_swap_takes(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only_men = ["--face-selector-gender", "male"]
    assert main(["faces", still, *only_men, "--json"]) == 0
    (man,) = json.loads(capsys.readouterr().out)
    output = ["-o", str(tmp_path / "out.png")]
    assert main(["swap", SOURCE, still, *output, *only_men, "--json"]) == 0
    (reference,) = json.loads(capsys.readouterr().out)["selection"]["references"]
    assert abs(reference["box"]["left"] - man["box"][0]) < 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--sheet", "{folder}/sheet.mp4"], 2),
        (["--sheet", "{folder}/none/sheet.png"], 3),
        (["--frame", "x"], 2),
        (["--face-selector-order", "left"], 2),
    ],
)
def test_faces_fails_as_swap_does(
    arguments: list[str],
    code: int,
    still: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["faces", still, *(word.format(folder=tmp_path) for word in arguments)]) == code
    assert capsys.readouterr().err.startswith("error: ")
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_an_empty_list(wall: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faces", wall, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way there")
@pytest.mark.parametrize(
    ("sent", "code", "words"),
    [
        (signal.SIGINT, 130, "error: stopped"),
        (signal.SIGTERM, 143, "error: ended"),
        (signal.SIGHUP, 129, "error: ended"),
    ],
)
def test_a_signal_ends_a_swap_with_its_code_and_leaves_nothing(
    tmp_path: Path, sent: signal.Signals, code: int, words: str
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 8000, 40))
    output = tmp_path / "results"
    output.mkdir()
    # A shell's background job ignores the signal, and so would its children. The process sends it
    # to itself once its output grows, as this one may be scheduled too late on a busy machine.
    script = f"""
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def send():
    while not os.listdir({str(output)!r}):
        time.sleep(0.02)
    os.kill(os.getpid(), {int(sent)})

threading.Thread(target=send, daemon=True).start()
from engine.cli import main
sys.exit(main())
"""
    arguments = ["swap", SOURCE, str(clip), "-o", str(output / "out.mkv"), "--video-codec", "ffv1"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments, "--face-selector-mode", "many"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith(words)
    assert list(output.iterdir()) == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_clip(tmp_path_factory.mktemp("clip") / "clip.mkv", range(0, 240, 40)))


QUICK = ("--swapper", "mesh", "--pixel-boost", "128", "--video-codec", "ffv1")


def test_a_trace_tells_each_decision(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, trace = tmp_path / "out.mkv", tmp_path / "out.jsonl"
    line = ["swap", SOURCE, clip, "-o", str(out), "--trace", str(trace), "--json", *QUICK]
    assert main([*line, "--start", "0.08", "--reference-face-distance", "0.4"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["spans"], report["more_spans"]) == ([], 0)
    lines = trace.read_text("utf-8").splitlines()
    read = TypeAdapter(FrameRecord)
    records = [read.validate_json(line, strict=True) for line in lines]
    assert [one.frame for one in records] == [1, 2, 3, 4]
    assert [one.seconds for one in records] == [0.08, 0.12, 0.16, 0.2]
    for record in records:
        first, second = sorted(record.faces, key=lambda face: face.box)
        assert (first.reason, second.reason) == ("chosen", "too far")
        assert first.distance is not None
        assert second.distance is not None
        assert first.distance < 0.4 < second.distance
        assert first.swap is not None
        assert first.swap.side == 128
    assert "embedding" not in trace.read_text("utf-8")
    assert main(line) == 3
    assert f"{out} exists" in capsys.readouterr().err
    out.unlink()
    assert main(line) == 3
    assert f"{trace} exists" in capsys.readouterr().err
    assert main([*line, "--overwrite"]) == 0
    assert len(trace.read_text("utf-8").splitlines()) == 6


@pytest.mark.parametrize("name", ["out.mkv", "nowhere/../out.mkv"])
def test_a_trace_is_no_other_file_of_the_swap(
    name: str, clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.mkv"
    line = ["swap", SOURCE, clip, "-o", str(out), "--overwrite", "--trace"]
    (tmp_path / "nowhere").mkdir()
    assert main([*line, str(tmp_path / name)]) == 3
    assert "is also the output" in capsys.readouterr().err
    assert main([*line, SOURCE]) == 3
    assert "is also an input" in capsys.readouterr().err
    assert not out.exists()


def test_what_wants_a_look_is_printed(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["swap", SOURCE, clip, "-o", str(tmp_path / "out.mkv"), *QUICK]
    assert main([*line, "--face-selector-mode", "many", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    trace = tmp_path / "trace.jsonl"
    assert main([*line, "--overwrite", "--trace", str(trace)]) == 0
    faces = json.loads(trace.read_text("utf-8").splitlines()[0])["faces"]
    farthest = max(faces, key=lambda face: face["distance"])
    unsure = str(farthest["distance"] - 0.01)
    capsys.readouterr()
    assert main([*line, "--overwrite", "--reference-face-distance", unsure]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[1] == (
        "look at 00:00:00.000 to 00:00:00.200 (frames 1 to 6), "
        f"track {farthest['track']}: near the threshold"
    )
    assert len(shown) == 2


def test_what_wants_a_look_is_drawn(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, review = tmp_path / "out.mkv", tmp_path / "review.png"
    line = ["swap", SOURCE, clip, "-o", str(out), "--review", str(review), *QUICK]
    assert main(line) == 0
    assert f"wrote {review}" in capsys.readouterr().err.splitlines()
    assert read_image(review).size[0] == 12 + 3 * 412
    assert b"compositeWithTrainedAlgorithmicMedia" in review.read_bytes()
    out.unlink()
    assert main(line) == 3
    assert f"{review} exists" in capsys.readouterr().err
    assert not out.exists()
    line[line.index(str(review))] = str(tmp_path / "review.mkv")
    assert main(line) == 3
    assert "must end in one of" in capsys.readouterr().err


def test_a_picture_has_no_review(
    still: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["swap", SOURCE, still, "-o", str(tmp_path / "out.png")]
    assert main([*line, "--review", str(tmp_path / "review.png")]) == 2
    assert "a preview shows it before and after" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_preview_says_what_it_shows(
    clip: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "preview.png"
    line = ["preview", SOURCE, clip, "--time", "0:00.1", "-o", str(output), *QUICK]
    assert main([*line, "--reference-face-distance", "0.4"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{output}: the frame at 00:00:00.080, before and after."
    assert sorted(one.split(": ")[1].split(",")[0] for one in said[1:]) == ["chosen", "kept"]
    assert main([*line, "--overwrite", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["output"], told["seconds"]) == (str(output), 0.08)
    assert {face["reason"] for face in told["faces"]} <= {"chosen", "too far"}
    assert main(["preview", SOURCE, "-o", str(output)]) == 2
    assert "TARGET is missing" in capsys.readouterr().err
    assert main(["preview", "-o", str(output)]) == 2
    assert "SOURCE and TARGET are missing; name them, or give --plan" in capsys.readouterr().err
    assert main(["preview", SOURCE, clip, "--plan", "plan.toml", "-o", str(output)]) == 2
    assert "which names target and sources; leave out SOURCE" in capsys.readouterr().err
