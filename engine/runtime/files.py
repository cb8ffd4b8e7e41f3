"""Files that are whole or not there, and what they hold by checksum."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import WeightsError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A scratch file in the target's folder, which takes the target's place at the end.

    Raises:
        WeightsError: the folder or the file cannot be written. Then, and after an error within,
            what was there before is there still.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        os.close(handle)
        scratch = Path(name)
        try:
            yield scratch
            scratch.replace(target)
        finally:
            scratch.unlink(missing_ok=True)
    except WeightsError:
        raise
    except OSError as error:
        raise WeightsError(f"{target} cannot be written: {error.strerror or error}.") from error


def sha256_of(path: Path) -> str:
    """The file's sha256 in lower-case hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
