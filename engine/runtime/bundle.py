"""One file of weights for a machine without a network: a zip with a manifest of hashes."""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Final

from engine.errors import MediaError, WeightsCorrupt
from engine.runtime.files import replacing
from engine.runtime.manifest import Weight, parse_imported

ROWS: Final = "bundle.json"
# Equal bundles of equal files: a zip would record the time.
_EPOCH = (1980, 1, 1, 0, 0, 0)
# What zipfile raises of broken archives, by where they are broken.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
)


@contextmanager
def unpacking(path: Path, member: str) -> Iterator[None]:
    """Says of a zip that is cut or changed which member of it cannot be read.

    Raises:
        WeightsCorrupt: that sentence.
    """
    try:
        yield
    except WeightsCorrupt:
        raise
    except _BROKEN as error:
        # Of bzip2, a broken stream is an OSError like the disk's, but without a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise WeightsCorrupt(
            f"{member} cannot be read from {path} ({error}); bring a good copy of it."
        ) from error


def is_bundle(path: Path) -> bool:
    """Whether a file is a zip with the manifest of a bundle."""
    if not zipfile.is_zipfile(path):
        return False
    with unpacking(path, ROWS), zipfile.ZipFile(path) as bundle:
        return ROWS in bundle.namelist()


def write_bundle(target: Path, weights: Sequence[tuple[Weight, Path]]) -> None:
    """Writes the files and their rows to `target`, which is whole or not there.

    Raises:
        MediaError: the file cannot be written.
    """
    rows = json.dumps([asdict(weight) for weight, _ in weights], indent=2)
    with replacing(target, MediaError) as scratch, zipfile.ZipFile(scratch, "w") as bundle:
        # Weights are noise to a compressor, so they are stored as they are.
        bundle.writestr(zipfile.ZipInfo(ROWS, _EPOCH), f"{rows}\n")
        for weight, path in weights:
            member = zipfile.ZipInfo(weight.file, _EPOCH)
            member.file_size = path.stat().st_size
            with path.open("rb") as file, bundle.open(member, "w") as packed:
                shutil.copyfileobj(file, packed)


class Bundle:
    """A bundle whose every byte has been compared with its manifest.

    Raises:
        WeightsCorrupt: a file is missing, cut or changed, or the manifest cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with unpacking(path, ROWS), zipfile.ZipFile(path) as bundle:
            rows = json.loads(bundle.read(ROWS))
            if not isinstance(rows, list):
                raise WeightsCorrupt(f"{ROWS} in {path} does not hold a list; bring it anew.")
        self.weights = tuple(
            parse_imported(f"{ROWS} in {path.name}, row {number}", row)
            for number, row in enumerate(rows, 1)
        )
        for weight in self.weights:
            self._verify(weight)

    def extract(self, weight: Weight, target: Path) -> None:
        """Writes a weight's file. Raises as the class does."""
        with self._opened(weight) as packed, target.open("wb") as file:
            shutil.copyfileobj(packed, file)

    def _verify(self, weight: Weight) -> None:
        with self._opened(weight) as packed:
            found = hashlib.file_digest(packed, "sha256").hexdigest()  # type: ignore[arg-type]
            size = packed.tell()
        if size != weight.size:
            raise WeightsCorrupt(
                f"{weight.file} in {self.path} has {size} bytes, not the {weight.size} of "
                f"{weight.name}; bring the bundle anew."
            )
        if found != weight.sha256:
            raise WeightsCorrupt(
                f"{weight.file} in {self.path} has the sha256 {found}, not the {weight.sha256} of "
                f"{weight.name}; bring the bundle anew."
            )

    @contextmanager
    def _opened(self, weight: Weight) -> Iterator[IO[bytes]]:
        with (
            unpacking(self.path, weight.file),
            zipfile.ZipFile(self.path) as bundle,
            bundle.open(weight.file) as packed,
        ):
            yield packed
