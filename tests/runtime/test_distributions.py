"""Commands that install missing packages."""

from __future__ import annotations

import shlex
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from engine.runtime.distributions import install, pip, requirements

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def parts(requirement: str) -> set[str]:
    """Name and bounds, in whatever order metadata has the bounds."""
    first, *others = requirement.split(",") if "[" not in requirement else [requirement]
    name, sign, bound = first.partition(next(sign for sign in ("==", ">=", "<") if sign in first))
    return {name, f"{sign}{bound}", *others}


@pytest.mark.parametrize("extra", ["cpu", "insightface", "server"])
def test_an_extra_is_told_by_the_packages_that_it_brings(extra: str) -> None:
    assert [parts(one) for one in requirements(extra)] == [parts(one) for one in EXTRAS[extra]]
    assert shlex.split(install(extra)) == [
        *(sys.executable, "-m", "pip", "install"),
        *requirements(extra),
    ]


@pytest.mark.parametrize("extra", list(EXTRAS))
def test_no_extra_is_told_by_the_name_of_this_engine(extra: str) -> None:
    assert requirements(extra)
    assert "faceswap" not in " ".join(requirements(extra))


def test_a_tree_that_is_not_installed_is_named_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert requirements("server") == (f"{ROOT}[server]",)


def test_the_pip_is_that_of_this_interpreter() -> None:
    assert pip("list", "a b") == f"{shlex.quote(sys.executable)} -m pip list 'a b'"


def test_nothing_tells_to_install_a_name_that_anybody_may_take() -> None:
    found = [*(ROOT / "engine").rglob("*.py"), *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for path in (*found, ROOT / "weights" / "README.md"):
        text = path.read_text("utf-8")
        assert "pip install faceswap" not in text, path
        assert "faceswap-engine[" not in text, path
