from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from engine.cli.commands import main
from engine.weights.weight_store import CALIBRATION, VARIABLE, WeightStore, embedded_folder
from tests.runtime.tiny_models import Signature


@pytest.fixture
def damaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights of which one file has a wrong byte and one is gone."""
    folder = tmp_path / "weights"
    shutil.copytree(embedded_folder(), folder, ignore=shutil.ignore_patterns("licences"))
    first, second = (weight.file for weight in WeightStore(folder, tmp_path).weights()[:2])
    content = bytearray((folder / first).read_bytes())
    content[1000] ^= 1
    (folder / first).write_bytes(content)
    (folder / second).unlink()
    monkeypatch.setenv(VARIABLE, str(folder))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return folder


def test_the_list_names_what_is_here_and_what_could_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["weights", "list"]) == 0
    said = capsys.readouterr().out
    assert "yunet" in said
    assert "inswapper_128" in said


def test_the_list_is_json_for_a_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json"]) == 0
    assert "yunet" in {weight["name"] for weight in json.loads(capsys.readouterr().out)}


def test_verify_finds_the_embedded_weights_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "verify", "--json"]) == 0
    assert {one["state"] for one in json.loads(capsys.readouterr().out)} == {"ok"}


def test_verify_names_what_is_corrupt_or_missing(
    damaged_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "verify"]) == 5
    said = capsys.readouterr()
    assert "corrupt" in said.out
    assert "missing" in said.out
    assert said.err.count("error: ") == 2
    assert str(damaged_weights) in said.err


def test_doctor_finds_spoiled_weights(
    damaged_weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor"]) == 1
    assert capsys.readouterr().out.count("BROKEN  Weights") == 2


def test_an_import_mends_a_spoiled_file(
    damaged_weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE)
    good = embedded_folder()
    monkeypatch.setenv(VARIABLE, str(damaged_weights))
    assert main(["weights", "import", str(good)]) == 0
    assert "imported yunet" in capsys.readouterr().out
    assert main(["weights", "verify"]) == 0


def test_an_import_of_nothing_is_code_5(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "import", str(tmp_path)]) == 5
    assert "There is no ONNX file" in capsys.readouterr().err


@pytest.fixture
def network_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without imports; returns the file of a network to import."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    shape = {"target": (1, 3, 256, 256), "source": (1, 512)}
    return Signature(shape, {"output": (1, 3, 256, 256)}).save(tmp_path / "ghost_1_256.onnx")


def missing_needs(name: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["weights", "list", "--json"]) == 0
    (row,) = (one for one in json.loads(capsys.readouterr().out) if one["name"] == name)
    return list(row["missing"])


def test_the_list_says_what_is_missing(
    network_to_import: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert missing_needs("yunet", capsys) == []
    assert missing_needs("ghost_1_256", capsys) == ["ghost_1_256", "w600k_r50", "crossface_ghost"]
    assert main(["weights", "import", str(network_to_import)]) == 0
    said = capsys.readouterr().out
    assert said == "imported ghost_1_256 (swapper, ghost; Apache-2.0), recognised by its graph\n"
    assert missing_needs("ghost_1_256", capsys) == ["w600k_r50", "crossface_ghost"]
    assert main(["weights", "list"]) == 0
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "ghost_1_256" in one)
    assert line.split("Apache-2.0")[1].strip() == "w600k_r50, crossface_ghost"


def test_a_bundle_carries_imports_to_another_machine(
    network_to_import: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = tmp_path / "weights.bundle"
    assert main(["weights", "export", str(bundle)]) == 5
    assert main(["weights", "import", str(network_to_import)]) == 0
    assert main(["weights", "export", str(bundle), "ghost_1_256"]) == 0
    assert "exported ghost_1_256 (swapper; Apache-2.0)" in capsys.readouterr().out
    assert main(["weights", "export", str(bundle)]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert main(["weights", "export", str(bundle / "inside")]) == 3
    assert "cannot be written" in capsys.readouterr().err
    assert main(["weights", "export", str(bundle), "--overwrite"]) == 0
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "other"))
    assert main(["weights", "import", str(bundle)]) == 0
    assert main(["weights", "import", str(bundle)]) == 0
    assert "already here: ghost_1_256" in capsys.readouterr().out
    content = bytearray(bundle.read_bytes())
    content[content.index(network_to_import.read_bytes())] ^= 1
    bundle.write_bytes(content)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "third"))
    assert main(["weights", "import", str(bundle)]) == 5
    assert str(bundle) in capsys.readouterr().err


def test_several_paths_are_imported_and_what_cannot_be_read_is_code_5(
    network_to_import: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    content = network_to_import.read_bytes()
    (folder / "half.onnx").write_bytes(content[: len(content) // 2])
    Signature({"x": (1,)}, {"y": (7,)}).save(folder / "strange.onnx")
    Signature({"data": (1, 3, 96, 96)}, {"fc1": (1, 3)}).save(folder / "genderage.onnx")
    assert (
        main(["weights", "import", str(tmp_path / "no.zip"), str(folder), str(network_to_import)])
        == 5
    )
    said = capsys.readouterr()
    assert [line.split()[1] for line in said.out.splitlines()] == ["genderage", "ghost_1_256"]
    assert said.err.count("note: strange.onnx is none of the known networks") == 1
    assert said.err.count("error: half.onnx is cut short") == 1
    assert said.err.count("error: There is nothing at") == 1
    (folder / "half.onnx").unlink()
    assert main(["weights", "import", str(folder), str(network_to_import), "--json"]) == 0
    said = capsys.readouterr()
    assert [one["name"] for one in json.loads(said.out)] == ["genderage", "ghost_1_256"]
    assert said.err.startswith("note: strange.onnx")


def test_what_an_import_replaces_is_told(
    network_to_import: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "import", str(network_to_import)]) == 0
    store = WeightStore()
    folder, _ = store.prepared_folders(store.weight("ghost_1_256"))
    (folder / "v1").mkdir(parents=True)
    (folder / "v1" / CALIBRATION).write_text("{}")
    network_to_import.write_bytes(network_to_import.read_bytes().replace(b"stand-in", b"standing"))
    capsys.readouterr()
    assert main(["weights", "import", str(network_to_import)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("replaced ghost_1_256 ")
    assert "note: the file that ghost_1_256 replaces was calibrated for int8" in said.err


def test_a_damaged_record_is_told_and_mended(
    network_to_import: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["weights", "import", str(network_to_import)]) == 0
    folder = WeightStore().user_folder
    (folder / "imported.json").write_bytes(b"")
    for command in ("list", "verify"):
        capsys.readouterr()
        assert main(["weights", command]) == 5
        said = capsys.readouterr()
        assert "yunet" in said.out
        assert said.err.count(f"weights import {folder}`") == 1
    assert main(["weights", "import", str(folder)]) == 0
    assert main(["weights", "verify"]) == 0
    assert "ghost_1_256" in capsys.readouterr().out
