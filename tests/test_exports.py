from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import engine

ROOT = Path(__file__).parents[1]


def test_exports_are_sorted_and_there() -> None:
    assert sorted(engine.__all__) == engine.__all__
    assert len(set(engine.__all__)) == len(engine.__all__)
    for name in engine.__all__:
        assert getattr(engine, name).__module__.startswith("engine.")
        assert name in dir(engine)


@pytest.mark.parametrize(
    "first",
    [
        "pass",
        "from engine.api import Engine",
        "from engine.swappers.swapper import Swapper",
        "import engine.swappers.swapper",
        "engine.Engine; engine.swap",
    ],
)
def test_swap_is_the_function_whatever_is_imported_first(first: str) -> None:
    script = f"import engine; {first}; from engine import swap; print(engine.swap is swap, swap)"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.startswith("True <function swap")


def test_every_error_of_the_tree_is_the_engines() -> None:
    for name in engine.__all__:
        value = getattr(engine, name)
        if isinstance(value, type) and issubclass(value, Exception):
            assert issubclass(value, engine.EngineError)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Swapper'"):
        _ = engine.Swapper


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert engine.__version__ == project["version"]


@pytest.mark.parametrize("module", ["engine", "engine.cli"])
def test_nothing_heavy_is_imported_before_it_is_asked_for(module: str) -> None:
    script = (
        f"import sys, {module}\n"
        "heavy = {'av', 'cv2', 'onnxruntime', 'pydantic', 'rich.progress', 'engine.api'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"
