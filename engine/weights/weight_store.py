"""The weight files: find them, verify their checksums, and import and export them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

from platformdirs import user_cache_path, user_data_path

from engine.errors import OutputExists, WeightsCorrupt, WeightsError, WeightsMissing
from engine.weights.atomic_files import (
    atomic_replacement,
    exclusive_lock,
    is_writable,
    sha256_of,
    temporary_file,
    unreadable,
)
from engine.weights.bundle import Archive, Bundle, is_zip, write_bundle
from engine.weights.manifest import (
    MANIFEST,
    PACKS,
    Network,
    Weight,
    parse_weights,
    read_manifest,
    read_packs,
)
from engine.weights.recognise import UnrecognisedError, recognise, require_self_contained

VARIABLE: Final = "FACESWAP_ENGINE_WEIGHTS"
RECORD: Final = "imported.json"
CALIBRATION: Final = "int8.json"  # a network's calibration, in its folder of prepared graphs
_LOCK = ".imported.lock"
_PREPARED = "prepared"

State: TypeAlias = Literal["ok", "missing", "corrupt"]
_Write: TypeAlias = Callable[[Path], object]  # writes a file to the path
_Open: TypeAlias = Callable[[], AbstractContextManager[Path]]  # opens a candidate for import

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Status:
    """State of one weight file; `detail` names the fault and its remedy."""

    weight: Weight
    path: Path
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """Result of an import.

    Attributes:
        imported: The networks that are in place now.
        skipped: A sentence for each intact file that was left out: an unknown network, or another
            file of a network that was imported.
        broken: A sentence for each file that cannot be read.
        known: Names of the imported networks whose sha256 is that of a published file; the others
            were recognised by their graphs.
        present: Names of those that were in place before, byte for byte.
        replaced: Names of those that replaced another file.
        uncalibrated: Names of those whose int8 graph was removed with the replaced file.
    """

    imported: tuple[Weight, ...]
    skipped: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()
    uncalibrated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Addition:
    """Result of adding one weight; the fields are those of `ImportReport`."""

    present: bool
    replaced: bool = False
    uncalibrated: bool = False


def embedded_folder() -> Path:
    """Return the folder of the embedded weights.

    It is named by the environment variable FACESWAP_ENGINE_WEIGHTS; else it is in the installed
    package, else in the checkout.

    Raises:
        WeightsMissing: The folder does not exist or holds no manifest.
    """
    named = os.environ.get(VARIABLE)
    if named:
        folder = Path(named)
        if not (folder / MANIFEST).is_file():
            raise WeightsMissing(
                f"The environment variable {VARIABLE} names {folder}, which holds no {MANIFEST}; "
                "correct or unset it."
            )
        return folder
    for folder in (_PACKAGE / "_weights", _PACKAGE.parent / "weights"):
        if (folder / MANIFEST).is_file():
            return folder
    raise WeightsMissing(
        f"The embedded weights are not beside {_PACKAGE}; reinstall faceswap-engine, or name "
        f"their folder in the environment variable {VARIABLE}."
    )


def imported_folder() -> Path:
    """Return the user's folder for imported weights; it need not exist."""
    return user_data_path("faceswap-engine", appauthor=False) / "weights"


class WeightStore:
    """The embedded weights and those that the user imported.

    A name of an embedded network always means that one. Each file is verified by its sha256 when
    it is first used. Threads may share a store.

    Args:
        folder: Folder of the embedded weights; None finds it, see `embedded_folder`.
        user_folder: Folder of the imported weights; None takes `imported_folder`.

    Raises:
        WeightsMissing: The embedded weights are not found.
        WeightsCorrupt: Their manifest is damaged.
    """

    def __init__(self, folder: Path | None = None, user_folder: Path | None = None) -> None:
        self.folder = folder or embedded_folder()
        self.user_folder = user_folder or imported_folder()
        self._embedded = read_manifest(self.folder / MANIFEST)
        self._networks = read_packs(self.folder / PACKS)
        self._verified: dict[Weight, Path] = {}
        self._lock = threading.Lock()

    @property
    def folders(self) -> tuple[Path, Path]:
        """Absolute folders of the embedded and of the imported weights."""
        return self.folder.absolute(), self.user_folder.absolute()

    def weights(self) -> tuple[Weight, ...]:
        """Return all networks: the embedded ones in the manifest's order, then the imported ones.

        The imported ones are left out if their record cannot be read; see `import_record_error`.
        """
        try:
            return self._embedded + self._imported()
        except WeightsError:
            return self._embedded

    def import_record_error(self) -> str:
        """Return the error of the record of imported weights with its remedy; "" without one.

        The embedded weights can be used all the same.
        """
        try:
            self._imported()
        except WeightsError as error:
            return str(error)
        return ""

    def installable(self) -> tuple[Network, ...]:
        """Return the networks that can be imported, the preferred ones of each role first."""
        return self._networks

    def network(self, name: str) -> Network:
        """Return the facts about a network that can be imported, whether it was or not.

        Raises:
            WeightsMissing: No network has this name.
        """
        for network in self._networks:
            if network.name == name:
                return network
        known = ", ".join(network.name for network in self._networks)
        raise WeightsMissing(f"There is no network {name!r} to import; there are {known}.")

    def has(self, name: str) -> bool:
        """Tell whether a network is embedded or imported (its file may still be corrupt)."""
        return any(weight.name == name for weight in self.weights())

    def weight(self, name: str) -> Weight:
        """Return the facts about an embedded or imported network.

        Raises:
            WeightsMissing: No network has this name, or it must be imported first.
        """
        # The imported ones last: a broken record must not stop the embedded ones.
        for weight in self._embedded:
            if weight.name == name:
                return weight
        for weight in self._imported():
            if weight.name == name:
                return weight
        for network in self._networks:
            if network.name == name:
                raise WeightsMissing(
                    f"{name} of the pack {network.pack} ({network.licence}) is not installed; "
                    "bring it in with `faceswap-engine weights import PATH`."
                )
        known = ", ".join(weight.name for weight in self.weights())
        raise WeightsMissing(f"There is no network {name!r}; there are {known}.")

    def path(self, name: str) -> Path:
        """Return the file of a network; its checksum is verified once.

        Raises:
            WeightsMissing: There is no such network or file.
            WeightsCorrupt: The file's sha256 differs from the recorded one.
        """
        weight = self.weight(name)
        with self._lock:
            if weight not in self._verified:
                self._verified[weight] = self._verified_file(weight)
            return self._verified[weight]

    def verify(self) -> tuple[Status, ...]:
        """Read every file again and return its state."""
        return tuple(self._status(weight) for weight in self.weights())

    def missing(self, name: str) -> tuple[str, ...]:
        """Return those of a network and the others it needs that are not installed.

        Raises as `network` does, and:
            WeightsError: The record of imported weights cannot be read.
        """
        installed = {weight.name for weight in self._embedded + self._imported()}
        return tuple(one for one in (name, *self.network(name).needs) if one not in installed)

    def export(
        self, target: Path, names: Sequence[str] = (), *, overwrite: bool = False
    ) -> tuple[Weight, ...]:
        """Write imported networks to one file that `import_path` reads, and return them.

        Each file is verified first.

        Args:
            target: The bundle to write.
            names: Names of networks; none writes all that were imported.
            overwrite: Replace `target` if it exists.

        Raises:
            WeightsMissing: No network was imported, or none has one of the names.
            WeightsCorrupt: A file's sha256 differs from the recorded one.
            OutputExists: `target` exists and may not be replaced.
            MediaError: It cannot be written.
        """
        if target.exists() and not overwrite:
            raise OutputExists(
                f"{target} exists; name another file or overwrite it (`--overwrite`, "
                "`overwrite=True`)."
            )
        weights = tuple(map(self.weight, dict.fromkeys(names))) or self._imported()
        if not weights:
            raise WeightsMissing(
                "No network was imported, so there is nothing to export; bring some in with "
                "`faceswap-engine weights import PATH`."
            )
        write_bundle(target, [(weight, self.path(weight.name)) for weight in weights])
        return weights

    def import_path(self, path: Path) -> ImportReport:
        """Copy weight files into the user's folder.

        A copy of an embedded file repairs that one; every other file is recognised by its sha256
        or its graph. In a folder, which is searched recursively, or a zip, files that cannot be
        read or recognised are left out and reported. A bundle is imported whole or not at all. A
        damaged record of earlier imports is rebuilt first from the files that are there.

        Args:
            path: A folder, a zip, a bundle written by `export`, or an ONNX file.

        Raises:
            WeightsMissing: There is nothing at `path`, or no ONNX file in it.
            WeightsCorrupt: The single file cannot be read or recognised, or a bundle is damaged.
            WeightsError: The user's folder cannot be read or written.
        """
        rebuilt = self._rebuild_record()
        if path.is_dir():
            report = self._import_files(path, self._folder_candidates(path))
        elif not path.is_file():
            what = "no regular file" if path.exists() else "nothing"
            raise WeightsMissing(
                f"There is {what} at {path}; name a folder, a zip or an ONNX file."
            )
        elif is_zip(path):
            with Archive(path) as archive:
                if archive.is_bundle:
                    report = self._import_bundle(archive)
                else:
                    report = self._import_files(path, _archive_candidates(archive))
        else:
            report = self._import_file(path)
        # Importing the folder of imports is the documented way to rebuild the record.
        if not (rebuilt or report.imported or report.skipped or report.broken):
            raise WeightsMissing(f"There is no ONNX file in {path}; nothing was imported.")
        published = self._published_sha256()
        known = frozenset(one.name for one in report.imported if one.sha256 in published)
        return replace(report, known=known)

    def _published_sha256(self) -> set[str]:
        networks = {digest for network in self._networks for digest in network.sha256}
        return networks | {weight.sha256 for weight in self._embedded}

    def _import_bundle(self, archive: Archive) -> ImportReport:
        bundle = Bundle(archive)
        embedded = {weight.sha256: weight for weight in self._embedded}
        found: dict[Weight, _Write] = {}
        for row in bundle.weights:
            # The file must not take the name of another network's file.
            if row.sha256 not in embedded and row.file != f"{self.network(row.name).name}.onnx":
                raise WeightsCorrupt(
                    f"{archive.path} holds {row.name} as {row.file}, not {row.name}.onnx; "
                    "write the bundle again with `faceswap-engine weights export`."
                )
            found[embedded.get(row.sha256, row)] = partial(_extract, bundle, row)
        return _report(self._add(found))

    def _import_file(self, path: Path) -> ImportReport:
        weight = self._recognise(path, path.name, source=path)
        return _report(self._add({weight: partial(shutil.copyfile, path)}))

    def _import_files(self, path: Path, candidates: Iterable[tuple[str, _Open]]) -> ImportReport:
        found: dict[str, list[tuple[Weight, _Open]]] = {}
        skipped: list[str] = []
        broken: list[str] = []
        for name, open_file in candidates:
            try:
                with open_file() as file:
                    weight = self._recognise(file, name, source=path)
                found.setdefault(weight.name, []).append((weight, open_file))
            except UnrecognisedError as error:
                skipped.append(str(error))
            except WeightsCorrupt as error:
                broken.append(str(error))
        added: dict[Weight, _Addition] = {}
        preferred = self._published_sha256(), {weight.sha256 for weight in self._imported()}
        for files in found.values():
            # One file per network, and the same one at the next import: another one would
            # remove the graphs that were prepared from it.
            weight, open_file = min(
                files, key=lambda one: [one[0].sha256 not in group for group in preferred]
            )
            with open_file() as file:
                added |= self._add({weight: partial(shutil.copyfile, file)})
            skipped += [
                f"{other.source_path} with the sha256 {other.sha256} is another {weight.name}; "
                f"that with {weight.sha256} was taken. Import the file alone to use it instead."
                for other, _ in files
                if other.sha256 != weight.sha256
            ]
        return replace(_report(added), skipped=tuple(skipped), broken=tuple(broken))

    def _folder_candidates(self, path: Path) -> Iterator[tuple[str, _Open]]:
        """Yield the name of each ONNX file below `path` and a function that opens it."""
        prepared = self.user_folder / _PREPARED
        for file in sorted(path.rglob("*.onnx")):
            if prepared not in file.parents and file.is_file() and _is_network(file.name):
                yield file.name, partial(_in_place, file)

    def prepared_folders(self, weight: Weight) -> tuple[Path, ...]:
        """Return the folders of the graphs prepared from a weight's file, the one to write first.

        One is in the user's folder for imports, the other in the user's cache, which comes first
        if the former cannot be written. Neither need exist.
        """
        beside = self.user_folder / _PREPARED / weight.sha256
        cache = user_cache_path("faceswap-engine", appauthor=False) / _PREPARED / weight.sha256
        return (beside, cache) if is_writable(beside) else (cache, beside)

    def _verified_file(self, weight: Weight) -> Path:
        """Return the packaged file or, if that is corrupt, the user's copy, once it is verified.

        A copy that repaired an older package is stale in the next one, so it comes second.
        """
        own = self.user_folder / weight.file
        if weight in self._embedded:
            packaged = self.folder / weight.file
            try:
                _verify(packaged, weight)
            except WeightsError:
                if not _exists(own):
                    raise
            else:
                return packaged
        _verify(own, weight)
        return own

    def _status(self, weight: Weight) -> Status:
        try:
            return Status(weight, self._verified_file(weight), "ok", "")
        except WeightsError as error:
            state: State = "missing" if isinstance(error, WeightsMissing) else "corrupt"
            folder = self.folder if weight in self._embedded else self.user_folder
            return Status(weight, folder / weight.file, state, str(error))

    def _imported(self) -> tuple[Weight, ...]:
        record = self.user_folder / RECORD
        try:
            rows = record.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise unreadable(record, error) from error
        return parse_weights(
            rows,
            f"{record}, the record of imported weights, is damaged",
            f"`faceswap-engine weights import {shlex.quote(str(self.user_folder))}` rebuilds it "
            "from the files that are there",
        )

    def _recognise(self, file: Path, called: str, *, source: Path) -> Weight:
        """Return the facts about a file, which users know as `called`; `source` is recorded."""
        try:
            sha256 = sha256_of(file)
        except OSError as error:
            raise WeightsCorrupt(str(unreadable(file, error))) from error
        for weight in self._embedded:
            if weight.sha256 == sha256:
                return weight
        network, outputs = recognise(file, self._networks, called=called, sha256=sha256)
        return Weight(
            name=network.name,
            role=network.role,
            pack=network.pack,
            file=f"{network.name}.onnx",
            sha256=sha256,
            size=file.stat().st_size,
            licence=network.licence,
            licence_file="",
            source=str(source),
            source_sha256="",
            source_path=called,
            input=network.input,
            output=outputs,
            calibration=network.calibration,
        )

    def _add(self, found: Mapping[Weight, _Write]) -> dict[Weight, _Addition]:
        """Write files that are not in place yet, and their rows in the record.

        All are written to temporary files before any is moved: nobody sees half a file, and if one
        cannot be written, everything stays as it was.
        """
        if all(self._is_packaged(weight) for weight in found):
            return {weight: _Addition(present=True) for weight in found}
        # Under the lock, files and rows change together, and no other process's row is lost.
        with exclusive_lock(self.user_folder / _LOCK), ExitStack() as stack:

            def staged(file: str) -> Path:
                return stack.enter_context(temporary_file(self.user_folder / file))

            before = {row.name: row for row in self._imported()}
            new = {weight.name: weight for weight in found if weight not in self._embedded}
            after = [row for row in before.values() if row.name not in new] + [*new.values()]
            files = {}
            for weight, write in found.items():
                if self._status(weight).state != "ok":
                    files[weight] = staged(weight.file)
                    write(files[weight])
            record = staged(RECORD)
            _write_record(record, after)
            for weight, file in files.items():
                file.replace(self.user_folder / weight.file)
            record.replace(self.user_folder / RECORD)
            with self._lock:
                for weight in files:
                    self._verified.pop(weight, None)
            calibrated = self._remove_prepared(before.values(), after)
        replaced = {
            name for name in new if name in before and before[name].sha256 != new[name].sha256
        }
        return {
            weight: _Addition(
                weight not in files,
                weight.name in replaced,
                weight.name in replaced & calibrated,
            )
            for weight in found
        }

    def _is_packaged(self, weight: Weight) -> bool:
        return weight in self._embedded and self._status(weight).state == "ok"

    def _remove_prepared(self, before: Iterable[Weight], after: Iterable[Weight]) -> set[str]:
        """Remove the graphs prepared from files that are gone.

        Returns the names of the networks among them that were calibrated for int8.
        """
        kept = {weight.sha256 for weight in after}
        calibrated = set()
        for weight in before:
            if weight.sha256 not in kept:
                for folder in self.prepared_folders(weight):
                    if any(folder.glob(f"*/{CALIBRATION}")):
                        calibrated.add(weight.name)
                    shutil.rmtree(folder, ignore_errors=True)
        return calibrated

    def _rebuild_record(self) -> bool:
        """Rebuild a damaged record from the files that are there; tell whether it was damaged."""
        if not self._is_damaged():
            return False
        with exclusive_lock(self.user_folder / _LOCK):
            if self._is_damaged():
                with atomic_replacement(self.user_folder / RECORD) as file:
                    _write_record(file, self._recognised_files())
        return True

    def _is_damaged(self) -> bool:
        try:
            self._imported()
        except WeightsCorrupt:
            return True
        return False

    def _recognised_files(self) -> Iterator[Weight]:
        for file in sorted(self.user_folder.glob("*.onnx")):
            with suppress(WeightsCorrupt):
                weight = self._recognise(file, file.name, source=file)
                if weight.file == file.name and weight not in self._embedded:
                    yield weight


def _report(added: Mapping[Weight, _Addition]) -> ImportReport:
    def names(has: Callable[[_Addition], bool]) -> frozenset[str]:
        return frozenset(weight.name for weight, addition in added.items() if has(addition))

    return ImportReport(
        tuple(added),
        present=names(lambda addition: addition.present),
        replaced=names(lambda addition: addition.replaced),
        uncalibrated=names(lambda addition: addition.uncalibrated),
    )


def _write_record(record: Path, weights: Iterable[Weight]) -> None:
    rows = [asdict(weight) for weight in weights]
    record.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def _is_network(name: str) -> bool:
    """Tell by its name whether a file is an ONNX file.

    macOS keeps a file's attributes in a second file, whose name begins with "._".
    """
    return name.endswith(".onnx") and not name.startswith("._")


def _in_place(path: Path) -> AbstractContextManager[Path]:
    return nullcontext(path)


def _archive_candidates(archive: Archive) -> Iterator[tuple[str, _Open]]:
    """Yield the name of each ONNX file of a zip and a function that opens it."""
    for member in archive.members:
        name = PurePosixPath(member.filename).name
        is_candidate = _is_network(name) and not member.is_dir()
        # A damaged directory may hide a network behind another name; opening it shows the damage.
        if is_candidate or not archive.has_matching_header(member):
            yield name, partial(_unpacked, archive, member)


@contextmanager
def _unpacked(archive: Archive, member: zipfile.ZipInfo) -> Iterator[Path]:
    """Yield a temporary file with the content of a zip's member."""
    folder = Path(tempfile.gettempdir())
    free, needed = shutil.disk_usage(folder).free, archive.max_size(member)
    if needed > free:
        raise WeightsError(
            f"{member.filename} in {archive.path} unpacks to {needed >> 20} MiB, and "
            f"{folder} has {free >> 20} MiB left; free space, or name another folder in the "
            "environment variable TMPDIR."
        )
    with temporary_file(folder / "member.onnx") as path:
        with path.open("wb") as file:
            file.writelines(archive.chunks(member))
        yield path


def _extract(bundle: Bundle, row: Weight, target: Path) -> None:
    """Write a bundle's file to `target`; refuse it if it has external data."""
    bundle.extract(row, target)
    require_self_contained(target, row.file)


def _verify(path: Path, weight: Weight) -> None:
    remedy = "bring a good copy with `faceswap-engine weights import PATH`."
    try:
        size = path.stat().st_size
        found = sha256_of(path) if size == weight.size else None
    except (FileNotFoundError, NotADirectoryError):
        raise WeightsMissing(
            f"The weight file {weight.file} of {weight.name} is not in {path.parent}; {remedy}"
        ) from None
    except OSError as error:
        raise unreadable(path, error) from error
    if found is None:
        raise WeightsCorrupt(
            f"The weight file {path} has {size} bytes, not the {weight.size} of {weight.name}; "
            f"{remedy}"
        )
    if found != weight.sha256:
        raise WeightsCorrupt(
            f"The weight file {path} has the sha256 {found}, not the {weight.sha256} of "
            f"{weight.name}; {remedy}"
        )


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # in a folder that this user may not read
