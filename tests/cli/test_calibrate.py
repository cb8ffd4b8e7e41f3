from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli.commands import main
from tests.album import write_album
from tests.footage import STRANGER, TWO, asset, picture, write_clip, write_png
from tests.runtime.painters import save_painter, save_restorer
from tests.swappers import stand_ins


@pytest.fixture
def album(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """Pictures on a machine where a swapper and a restorer were imported."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    networks = tmp_path / "networks"
    networks.mkdir()
    save_painter(networks / "inswapper_128.onnx")
    save_restorer(networks / "gfpgan_1.4.onnx")
    stand_ins.embedder(networks / "w600k_r50.onnx")
    assert main(["weights", "import", str(networks)]) == 0
    capsys.readouterr()
    return write_album(tmp_path / "album")


def test_what_was_calibrated_swaps_and_restores_at_int8(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    still = write_png(tmp_path / "two.png", picture(TWO))
    swap = [
        *("swap", str(asset(STRANGER)), str(still), "-o", str(tmp_path / "out.png")),
        *("--precision", "int8", "--face-selector-mode", "many", "--no-content-check"),
        *("--pixel-boost", "128x128", "--enhance", "gfpgan_1.4"),
    ]
    assert main(swap) == 5
    assert "faceswap-engine weights calibrate" in capsys.readouterr().err
    assert main(["weights", "calibrate", "inswapper_128", str(album)]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("calibrated inswapper_128 on 14 of 18 faces from 9 files; on the ")
    assert said.out.count(" dB from fp32") == 1
    assert said.err == ""
    assert main(["weights", "calibrate", "gfpgan_1.4", str(album), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert (done["name"], done["faces"], done["skipped"]) == ("gfpgan_1.4", 18, [])
    assert done["result"]["psnr"] > 34
    assert main(swap) == 0
    said = capsys.readouterr()
    assert said.err.count(" runs at int8: ") == 2
    assert "2 of 2 faces swapped" in said.out
    assert main([*swap, "--overwrite", "--device", "cuda"]) == 2
    assert "int8" in capsys.readouterr().err


def test_a_single_file_is_told_to_test_little(
    album: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = write_clip(tmp_path / "clip.mkv", range(0, 2400, 40))
    assert main(["weights", "calibrate", "inswapper_128", str(clip)]) == 0
    said = capsys.readouterr()
    assert " faces from 1 file; on the other" in said.out
    assert "note: the others are of the same file" in said.err
    assert main(["weights", "calibrate", "inswapper_128", str(clip), str(album), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["apart"]


def test_what_goes_wrong_has_its_code(album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, words in (
        (["inswapper_128", str(album / "0.png")], 4, "2 faces were found"),
        (["inswapper_128", str(album / "no.png")], 3, "no.png"),
        (["w600k_r50", str(album)], 2, "role embedder"),
        (["codeformer", str(album)], 5, "codeformer is not installed"),
    ):
        assert main(["weights", "calibrate", *arguments]) == code
        said = capsys.readouterr()
        assert words in said.err
        assert said.out == ""
