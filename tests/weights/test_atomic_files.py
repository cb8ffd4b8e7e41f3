"""Errors of a temporary file are distinguished from those of the code that uses it."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from engine.errors import WeightsError
from engine.weights.atomic_files import atomic_replacement


def test_a_full_disk_and_a_lost_file_are_told(tmp_path: Path) -> None:
    with (
        pytest.raises(WeightsError, match="cannot be written"),
        atomic_replacement(tmp_path / "one"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(WeightsError, match="cannot be written"),
        atomic_replacement(tmp_path / "one") as file,
    ):
        file.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [TimeoutError("late"), FileNotFoundError(2, "none", "other")])
def test_an_error_of_something_else_goes_on_as_it_is(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError) as caught, atomic_replacement(tmp_path / "one"):
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []
