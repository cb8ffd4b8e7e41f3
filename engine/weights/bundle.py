"""Zips of weight files, and bundles: zips with a manifest of checksums, for air-gapped machines.

A zip is untrusted: it may be damaged, or made to fill the disk.
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
from typing import Final

from engine.closeable import Closeable
from engine.errors import MediaError, WeightsCorrupt
from engine.weights.atomic_files import atomic_replacement, unreadable
from engine.weights.manifest import Weight, parse_weights

ROWS: Final = "bundle.json"
# A fixed date, so that equal files make equal bundles.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_COPY_AGAIN = "the file is damaged; copy it again"

_MAX_MEMBERS = 10_000
# An ONNX file is a protocol buffer, and those end at 2 GiB.
_MAX_MEMBER_BYTES = 2**31
# The last record of a zip: the number of members lies between a signature and disk numbers, and
# three other fields.
_END: Final = struct.Struct("<10xH10x")
_ZIP64_COUNT = 0xFFFF  # stands for a number that is kept in a record of zip64
# Weights hardly compress. A zip may unpack to this many times its size, plus some bytes for graphs
# of zeros; each member may be read twice.
_MAX_RATIO = 32
_MAX_EXTRA_BYTES = 2**26
_MAX_ROWS_BYTES = 2**24  # of a bundle's manifest
# Compressed bytes that are read at once. zipfile bounds the unpacked size of a read for these
# methods alone.
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
    with file, _zip_errors(path, "the directory"):
        return zipfile.is_zipfile(file)


class Archive(Closeable):
    """A zip that is open for reading.

    A context manager. Every damage raises `WeightsCorrupt`, whatever zipfile raises.

    Raises:
        WeightsError: The file cannot be opened.
        WeightsCorrupt: It is no zip, damaged, or has too many members.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with _zip_errors(path, "the directory"):
            self._zip = zipfile.ZipFile(path)
        self.members = tuple(self._zip.infolist())
        recorded = _recorded_count(path, len(self._zip.comment))
        if recorded not in (len(self.members), _ZIP64_COUNT):
            self._zip.close()
            raise WeightsCorrupt(
                f"{path} has {len(self.members)} members, and by its last record {recorded}: "
                f"{_COPY_AGAIN}."
            )
        self._max_bytes = _MAX_EXTRA_BYTES + _MAX_RATIO * path.stat().st_size
        self._unpacked = 0
        if len(self.members) > _MAX_MEMBERS:
            self._zip.close()
            raise WeightsCorrupt(
                f"{path} has {len(self.members)} members, and at most {_MAX_MEMBERS} are read; "
                "unpack it and import the folder."
            )

    def close(self) -> None:
        """Close the zip."""
        self._zip.close()

    @property
    def is_bundle(self) -> bool:
        """True if it has the manifest of a bundle."""
        return any(member.filename == ROWS for member in self.members)

    def member(self, name: str) -> zipfile.ZipInfo:
        """Return the member of a name; raises as `chunks` does."""
        with _zip_errors(self.path, name):
            return self._zip.getinfo(name)

    @staticmethod
    def max_size(member: zipfile.ZipInfo) -> int:
        """Return how many bytes a member unpacks to at most."""
        stored = member.compress_type == zipfile.ZIP_STORED
        return min(member.file_size, member.compress_size if stored else _MAX_MEMBER_BYTES)

    def has_matching_header(self, member: zipfile.ZipInfo) -> bool:
        """Tell whether the directory and the member's own header name it alike."""
        try:
            self._zip.open(member).close()
        except RuntimeError:
            return True  # encrypted, or packed by a rare method: harmless while it is not read
        except Exception:  # noqa: BLE001 - see `_zip_errors`
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
        with _zip_errors(self.path, member.filename), self._zip.open(member) as packed:
            while chunk := packed.read(step):
                self._unpacked += len(chunk)
                size = self._unpacked - before
                if size > _MAX_MEMBER_BYTES or self._unpacked > self._max_bytes:
                    raise WeightsCorrupt(
                        f"{member.filename} in {self.path} unpacks to more than weights can "
                        f"({size >> 20} MiB of it, {self._unpacked >> 20} MiB in all, until it was "
                        "stopped); bring another copy, or unpack it and import the folder."
                    )
                yield chunk


def _recorded_count(path: Path, comment: int) -> int:
    """Read the number of members in a zip's last record, which zipfile ignores.

    A damaged length in the directory hides the members that follow.
    """
    with path.open("rb") as file:
        file.seek(-_END.size - comment, os.SEEK_END)
        count: int = _END.unpack(file.read(_END.size))[0]
    return count


@contextmanager
def _zip_errors(path: Path, what: str) -> Iterator[None]:
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
    # own ways, which differ from one version of Python to the next.
    except Exception as error:
        # A seek beyond every file is EINVAL; broken bzip2 is an OSError without a number.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise unreadable(path, error) from error
        rare = isinstance(error, RuntimeError) and not isinstance(error, RecursionError)
        hint = " If it is encrypted or packed by a rare method, unpack it first." if rare else ""
        raise WeightsCorrupt(
            f"{what} cannot be read from {path} ({_one_line(error)}): {_COPY_AGAIN}.{hint}"
        ) from error


def _one_line(error: Exception) -> str:
    """Return an error's text on one short line; it may hold a damaged name as long as the file."""
    return f"{' '.join(str(error).split()) or type(error).__name__:.120}"


def write_bundle(target: Path, weights: Sequence[tuple[Weight, Path]]) -> None:
    """Write weight files and their rows to a bundle; no partial file is left.

    Raises:
        MediaError: The file cannot be written.
    """
    rows = json.dumps([asdict(weight) for weight, _ in weights], indent=2)
    with atomic_replacement(target, MediaError) as scratch, zipfile.ZipFile(scratch, "w") as bundle:
        # Stored, as weights do not compress.
        bundle.writestr(zipfile.ZipInfo(ROWS, _EPOCH), f"{rows}\n")
        for weight, path in weights:
            member = zipfile.ZipInfo(weight.file, _EPOCH)
            member.file_size = path.stat().st_size
            with path.open("rb") as file, bundle.open(member, "w") as packed:
                shutil.copyfileobj(file, packed)


class Bundle:
    """A bundle whose every byte has been compared with its manifest.

    Raises:
        WeightsCorrupt: A file is missing, cut or changed, or the manifest cannot be read.
    """

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.weights = self._read_rows()
        for weight in self.weights:
            self._verify(weight)

    def extract(self, weight: Weight, target: Path) -> None:
        """Write a weight's file to `target`; raises as the class does."""
        with target.open("wb") as file:
            file.writelines(self._chunks(weight))

    def _read_rows(self) -> tuple[Weight, ...]:
        path, member = self._archive.path, self._archive.member(ROWS)
        if member.file_size > _MAX_ROWS_BYTES:
            raise WeightsCorrupt(f"{ROWS} in {path} has {member.file_size} bytes: {_COPY_AGAIN}.")
        content = b"".join(self._archive.chunks(member))
        return parse_weights(content, f"{ROWS} in {path}", _COPY_AGAIN)

    def _verify(self, weight: Weight) -> None:
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(weight):
            digest.update(chunk)
            size += len(chunk)
        found, path = digest.hexdigest(), self._archive.path
        if size != weight.size:
            raise WeightsCorrupt(
                f"{weight.file} in {path} has {size} bytes, not the {weight.size} of "
                f"{weight.name}: {_COPY_AGAIN}."
            )
        if found != weight.sha256:
            raise WeightsCorrupt(
                f"{weight.file} in {path} has the sha256 {found}, not the {weight.sha256} of "
                f"{weight.name}: {_COPY_AGAIN}."
            )

    def _chunks(self, weight: Weight) -> Iterator[bytes]:
        return self._archive.chunks(self._archive.member(weight.file))
