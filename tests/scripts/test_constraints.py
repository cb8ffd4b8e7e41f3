"""The versions that were tested are versions that the project asks for."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
EXTRAS = ("cpu", "server")


def requirements() -> Iterator[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    yield from map(Requirement, project["dependencies"])
    for extra in EXTRAS:
        yield from map(Requirement, project["optional-dependencies"][extra])


def pins(python: str) -> dict[str, Version]:
    """Return the versions of `constraints.txt` for a version of Python."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate({"python_full_version": f"{python}.0"}):
            ((operator, version),) = [(each.operator, each.version) for each in pin.specifier]
            assert operator == "=="
            found[pin.name] = Version(version)
    return found


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14"])
def test_each_dependency_has_a_version_that_may_be(python: str) -> None:
    tested = pins(python)
    for wanted in requirements():
        assert wanted.specifier.contains(tested[wanted.name]), f"{wanted}; run scripts/constraints"


def test_both_supported_releases_of_pyav_are_there() -> None:
    assert pins("3.11")["av"].major < pins("3.12")["av"].major
