"""Zips of weight files, and bundles: zips with a manifest of hashes, for machines off the network.

A zip comes from outside: it may be damaged, or made to fill the disk.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from engine.errors import MediaError, WeightsCorrupt
from engine.weights.atomic_files import replacing, unreadable
from engine.weights.manifest import Weight, parse_imported

ROWS: Final = "bundle.json"
# Equal bundles of equal files: a zip would record the time.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_MOST_MEMBERS = 10_000
# Protocol buffers, which ONNX files are, end at 2 GiB.
_MOST_OF_ONE = 2**31
# The last record of a zip: signature and numbers of disks, members, and three fields more.
_END: Final = struct.Struct("<10xH10x")
_COUNTED_ELSEWHERE = 0xFFFF  # in a record of zip64
# Weights hardly compress. A zip may unpack to so many times its size, and some bytes more for
# graphs of zeros; each member may be read twice.
_MOST_TIMES = 32
_MOST_BESIDES = 2**26
_MOST_ROWS = 2**24  # bytes of a bundle's manifest
# Compressed bytes read at once. Of these methods alone, zipfile bounds what they unpack to.
_STEP, _BOUNDED = 2**16, (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_SMALL_STEP = 2**12


def is_zip(path: Path) -> bool:
    """Tell whether a file ends as zips do.

    Raises:
        WeightsError: It cannot be opened.
        WeightsCorrupt: It is a zip in several parts, or damaged so that it looks like one.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error
    with file, _reading(path, "the directory"):
        return zipfile.is_zipfile(file)


class Archive:
    """A zip that is open for reading.

    A context manager. Every damage is a `WeightsCorrupt`, whatever zipfile makes of it.

    Raises:
        WeightsError: The file cannot be opened.
        WeightsCorrupt: It is no zip, damaged, or has too many members.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _reading(path, "the directory"):
            self._zip = zipfile.ZipFile(path)
        self.members = tuple(self._zip.infolist())
        counted = _counted(path, len(self._zip.comment))
        if counted not in (len(self.members), _COUNTED_ELSEWHERE):
            self._zip.close()
            raise WeightsCorrupt(
                f"{path} has {len(self.members)} members, and by its last record {counted}: the "
                "file is damaged; copy it again."
            )
        self._most = _MOST_BESIDES + _MOST_TIMES * path.stat().st_size
        self._unpacked = 0
        if len(self.members) > _MOST_MEMBERS:
            self._zip.close()
            raise WeightsCorrupt(
                f"{path} has {len(self.members)} members, and at most {_MOST_MEMBERS} are read; "
                "unpack it and import the folder."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._zip.close()

    @property
    def is_bundle(self) -> bool:
        """Whether it has the manifest of a bundle."""
        return any(member.filename == ROWS for member in self.members)

    def member(self, name: str) -> zipfile.ZipInfo:
        """Return the member of a name; raises as `chunks` does."""
        with _reading(self.path, name):
            return self._zip.getinfo(name)

    @staticmethod
    def most_of(member: zipfile.ZipInfo) -> int:
        """Return how many bytes a member unpacks to at most."""
        stored = member.compress_type == zipfile.ZIP_STORED
        return min(member.file_size, member.compress_size if stored else _MOST_OF_ONE)

    def agrees(self, member: zipfile.ZipInfo) -> bool:
        """Tell whether the directory and the member's own header name it alike."""
        try:
            self._zip.open(member).close()
        except RuntimeError:
            return True  # encrypted, or packed by a rare method, which does no harm unread
        except Exception:  # noqa: BLE001 - see `_reading`
            return False
        return True

    def chunks(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """Unpack a member piece by piece.

        Raises:
            WeightsCorrupt: It is damaged, or larger than any network, or the zip as a whole
                unpacks to more than weights can.
            WeightsError: The zip cannot be read.
        """
        step = _STEP if member.compress_type in _BOUNDED else _SMALL_STEP
        before = self._unpacked
        with _reading(self.path, member.filename), self._zip.open(member) as packed:
            while chunk := packed.read(step):
                self._unpacked += len(chunk)
                if self._unpacked - before > _MOST_OF_ONE or self._unpacked > self._most:
                    raise WeightsCorrupt(
                        f"{member.filename} in {self.path} unpacks to more than weights can "
                        f"({(self._unpacked - before) >> 20} MiB of it, "
                        f"{self._unpacked >> 20} MiB in all, until it was stopped); bring another "
                        "copy, or unpack it and import the folder."
                    )
                yield chunk


def _counted(path: Path, comment: int) -> int:
    """Read the number of members in a zip's last record, which zipfile passes over.

    A damaged length in the directory hides the members that follow.
    """
    with path.open("rb") as file:
        file.seek(-_END.size - comment, os.SEEK_END)
        count: int = _END.unpack(file.read(_END.size))[0]
    return count


@contextmanager
def _reading(path: Path, what: str) -> Iterator[None]:
    """Turn whatever zipfile raises into an error that names what cannot be read.

    Raises:
        WeightsCorrupt: The zip is damaged.
        WeightsError: The disk or its rights are at fault.
    """
    try:
        yield
    except WeightsCorrupt:
        raise
    # A damaged zip makes zipfile, its decompressors, seek and the decoding of names fail in their
    # own ways, other ones with every version of Python.
    except Exception as error:
        # To seek to where no file has bytes is EINVAL; broken bzip2 is an OSError without number.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise unreadable(path, error) from error
        rare = isinstance(error, RuntimeError) and not isinstance(error, RecursionError)
        hint = " If it is encrypted or packed by a rare method, unpack it first." if rare else ""
        raise WeightsCorrupt(
            f"{what} cannot be read from {path} ({_line(error)}): the file "
            f"is damaged; copy it again.{hint}"
        ) from error


def _line(error: Exception) -> str:
    """Say what an error says, which may be a damaged name as long as the file."""
    return f"{' '.join(str(error).split()) or type(error).__name__:.120}"


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

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.weights = tuple(
            parse_imported(f"{ROWS} in {archive.path.name}, row {number}", row)
            for number, row in enumerate(self._rows(), 1)
        )
        for weight in self.weights:
            self._verify(weight)

    def extract(self, weight: Weight, target: Path) -> None:
        """Writes a weight's file. Raises as the class does."""
        with target.open("wb") as file:
            file.writelines(self._chunks(weight))

    def _rows(self) -> list[object]:
        path, member = self._archive.path, self._archive.member(ROWS)
        if member.file_size > _MOST_ROWS:
            raise WeightsCorrupt(
                f"{ROWS} in {path} has {member.file_size} bytes: the file is damaged; copy it "
                "again."
            )
        content = b"".join(self._archive.chunks(member))
        with _reading(path, ROWS):
            rows = json.loads(content)
        if not isinstance(rows, list):
            raise WeightsCorrupt(
                f"{ROWS} in {path} does not hold a list: the file is damaged; copy it again."
            )
        return rows

    def _verify(self, weight: Weight) -> None:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(weight):
            digest.update(chunk)
            size += len(chunk)
        found, path = digest.hexdigest(), self._archive.path
        if size != weight.size:
            raise WeightsCorrupt(
                f"{weight.file} in {path} has {size} bytes, not the {weight.size} of "
                f"{weight.name}: the file is damaged; copy it again."
            )
        if found != weight.sha256:
            raise WeightsCorrupt(
                f"{weight.file} in {path} has the sha256 {found}, not the {weight.sha256} of "
                f"{weight.name}: the file is damaged; copy it again."
            )

    def _chunks(self, weight: Weight) -> Iterator[bytes]:
        return self._archive.chunks(self._archive.member(weight.file))
