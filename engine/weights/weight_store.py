"""The weight files: where they lie, whether their bytes are right, and bringing in more of them."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeAlias

from platformdirs import user_cache_path, user_data_path

from engine.errors import OutputExists, WeightsCorrupt, WeightsError, WeightsMissing
from engine.weights.atomic_files import (
    alone,
    replacing,
    scratch_beside,
    sha256_of,
    unreadable,
    writable,
)
from engine.weights.bundle import Archive, Bundle, is_zip, write_bundle
from engine.weights.manifest import (
    MANIFEST,
    PACKS,
    Network,
    Weight,
    parse_imported,
    read_manifest,
    read_packs,
)
from engine.weights.recognise import UnrecognisedError, recognise, require_whole

VARIABLE: Final = "FACESWAP_ENGINE_WEIGHTS"
RECORD: Final = "imported.json"
CALIBRATION: Final = "int8.json"  # the int8 record of a network, in its folder of prepared graphs
_LOCK = ".imported.lock"
_PREPARED = "prepared"

State: TypeAlias = Literal["ok", "missing", "corrupt"]
_Write: TypeAlias = Callable[[Path], object]  # writes a file there
_Opening: TypeAlias = Callable[[], AbstractContextManager[Path]]

_PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Status:
    """The state of one weight file; `detail` says what is wrong and what mends it."""

    weight: Weight
    path: Path
    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import brought in, and a sentence on each file that it left out.

    Of these, `skipped` are whole, but no networks known here, or others of a name that was taken;
    `broken` cannot be read. `known` names those imported whose sha256 is that of a published file;
    the others were recognised by their graphs. `present` names those that were here already, byte
    for byte, `replaced` those that took another file's place, and `uncalibrated` those whose int8
    graph went with that file.
    """

    imported: tuple[Weight, ...]
    skipped: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    replaced: frozenset[str] = frozenset()
    uncalibrated: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Added:
    """What adding a weight did: whether its file was here, and of another, what went with it."""

    present: bool
    replaced: bool = False
    uncalibrated: bool = False


def embedded_folder() -> Path:
    """The folder of the embedded weights.

    It is the one that the environment variable FACESWAP_ENGINE_WEIGHTS names, else the one in the
    installed package, else that of the checkout.

    Raises:
        WeightsMissing: the folder is not there, or holds no manifest.
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
    """The user's folder for imported weights; it need not exist."""
    return user_data_path("faceswap-engine", appauthor=False) / "weights"


class WeightStore:
    """The embedded weights and those that the user imported; embedded names come first.

    Each file is checked by its sha256 the first time it is asked for. Safe to share by threads.
    """

    def __init__(self, folder: Path | None = None, user_folder: Path | None = None) -> None:
        self.folder = folder or embedded_folder()
        self.user_folder = user_folder or imported_folder()
        self._embedded = read_manifest(self.folder / MANIFEST)
        self._networks = read_packs(self.folder / PACKS)
        self._verified: dict[Weight, Path] = {}
        self._lock = threading.Lock()

    def weights(self) -> tuple[Weight, ...]:
        """All there should be: the embedded ones in the manifest's order, then the imported.

        Those are left out where their record cannot be read; see `trouble`.
        """
        try:
            return self._embedded + self._imported()
        except WeightsError:
            return self._embedded

    def trouble(self) -> str:
        """Why the record of the imported weights cannot be read, and what mends it; "" if it can.

        Embedded weights can be used all the same.
        """
        try:
            self._imported()
        except WeightsError as error:
            return str(error)
        return ""

    def installable(self) -> tuple[Network, ...]:
        """The networks that can be imported."""
        return self._networks

    def network(self, name: str) -> Network:
        """The facts about a network that can be imported, be it here or not.

        Raises:
            WeightsMissing: there is none of this name.
        """
        for network in self._networks:
            if network.name == name:
                return network
        known = ", ".join(network.name for network in self._networks)
        raise WeightsMissing(f"There is no network {name!r} to import; there are {known}.")

    def has(self, name: str) -> bool:
        """Whether there is a network of this name (its bytes may still be wrong)."""
        return any(weight.name == name for weight in self.weights())

    def weight(self, name: str) -> Weight:
        """The facts about a network.

        Raises:
            WeightsMissing: there is none of this name, or it is one that must be imported first.
        """
        # The imported ones last: a broken record of them must not stop the embedded ones.
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
        """The file of a network, its bytes verified once.

        Raises:
            WeightsMissing: there is no such network or file.
            WeightsCorrupt: the file's sha256 is not the one recorded.
        """
        weight = self.weight(name)
        with self._lock:
            if weight not in self._verified:
                self._verified[weight] = self._good_file(weight)
            return self._verified[weight]

    def verify(self) -> tuple[Status, ...]:
        """The state of every file, read anew."""
        return tuple(self._status(weight) for weight in self.weights())

    def missing(self, name: str) -> tuple[str, ...]:
        """Of a network that can be imported and the others that it needs, those not here.

        Raises as `network` does, and:
            WeightsError: the record of the imported ones cannot be read.
        """
        here = {weight.name for weight in self._embedded + self._imported()}
        return tuple(one for one in (name, *self.network(name).needs) if one not in here)

    def export(
        self, target: Path, names: Sequence[str] = (), *, overwrite: bool = False
    ) -> tuple[Weight, ...]:
        """Writes imported networks (all, or those named) to one file that `import_path` reads.

        Returns what went in. Each file is verified first.

        Raises:
            WeightsMissing: none was imported, or none of a name.
            WeightsCorrupt: a file's sha256 is not the one recorded.
            OutputExists: `target` exists and may not be replaced.
            MediaError: it cannot be written.
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
        """Copies weight files into the user's folder, from a folder, a zip, a bundle or one file.

        A file of the embedded set mends that one; any other is recognised by its sha256 or its
        graph. Folders are searched through; what cannot be read or recognised in a folder or a zip
        is left out and told. A bundle is what `export` wrote; all of it is written before any of it
        takes its place. A damaged record of earlier imports is written anew first, by the files
        that are there.

        Raises:
            WeightsMissing: there is nothing at `path`, or no ONNX file in it.
            WeightsCorrupt: the one file cannot be read or recognised; a bundle is not as it was
                written.
            WeightsError: the user's folder cannot be read or written.
        """
        mended = self._mend()
        if path.is_dir():
            report = self._files(path, self._in_folder(path))
        elif not path.is_file():
            what = "no regular file" if path.exists() else "nothing"
            raise WeightsMissing(
                f"There is {what} at {path}; name a folder, a zip or an ONNX file."
            )
        elif is_zip(path):
            with Archive(path) as archive:
                if archive.is_bundle:
                    report = self._bundle(archive)
                else:
                    report = self._files(path, _in_archive(archive))
        else:
            report = self._file(path)
        # To name the folder of imports is how users mend the record.
        if not (mended or report.imported or report.skipped or report.broken):
            raise WeightsMissing(f"There is no ONNX file in {path}; nothing was imported.")
        published = self._published()
        known = frozenset(one.name for one in report.imported if one.sha256 in published)
        return replace(report, known=known)

    def _published(self) -> set[str]:
        networks = {digest for network in self._networks for digest in network.sha256}
        return networks | {weight.sha256 for weight in self._embedded}

    def _bundle(self, archive: Archive) -> ImportReport:
        bundle = Bundle(archive)
        own = {weight.sha256: weight for weight in self._embedded}
        found: dict[Weight, _Write] = {}
        for row in bundle.weights:
            # Its name must not be one that some other file here goes by.
            if row.sha256 not in own and row.file != f"{self.network(row.name).name}.onnx":
                raise WeightsCorrupt(
                    f"{archive.path} holds {row.name} as {row.file}, not {row.name}.onnx; "
                    "write the bundle anew with `faceswap-engine weights export`."
                )
            found[own.get(row.sha256, row)] = partial(_extract, bundle, row)
        return _report(self._add(found))

    def _file(self, path: Path) -> ImportReport:
        weight = self._recognised(path, path.name, source=path)
        return _report(self._add({weight: partial(shutil.copyfile, path)}))

    def _files(self, path: Path, candidates: Iterable[tuple[str, _Opening]]) -> ImportReport:
        found: dict[str, list[tuple[Weight, _Opening]]] = {}
        skipped: list[str] = []
        broken: list[str] = []
        for name, opening in candidates:
            try:
                with opening() as file:
                    weight = self._recognised(file, name, source=path)
                found.setdefault(weight.name, []).append((weight, opening))
            except UnrecognisedError as error:
                skipped.append(str(error))
            except WeightsCorrupt as error:
                broken.append(str(error))
        added: dict[Weight, _Added] = {}
        better = self._published(), {weight.sha256 for weight in self._imported()}
        for same in found.values():
            # One a name, and at the next import the same one: what is made of it would go.
            weight, opening = min(
                same, key=lambda one: [one[0].sha256 not in few for few in better]
            )
            with opening() as file:
                added |= self._add({weight: partial(shutil.copyfile, file)})
            skipped += [
                f"{other.source_path} with the sha256 {other.sha256} is another {weight.name}; "
                f"that with {weight.sha256} was taken. Import the file alone to use it instead."
                for other, _ in same
                if other.sha256 != weight.sha256
            ]
        return replace(_report(added), skipped=tuple(skipped), broken=tuple(broken))

    def _in_folder(self, path: Path) -> Iterator[tuple[str, _Opening]]:
        """(name to the user, what opens the file) of each ONNX file below `path`."""
        made = self.user_folder / _PREPARED
        for file in sorted(path.rglob("*.onnx")):
            if made not in file.parents and file.is_file() and _is_network(file.name):
                yield file.name, partial(_as_it_lies, file)

    def prepared_folders(self, weight: Weight) -> tuple[Path, ...]:
        """Where what is made of a weight's file is kept, the one to write to first.

        These are one in the user's folder for imports and one in the user's cache, which comes
        first where the other cannot be written. None need exist.
        """
        beside = self.user_folder / _PREPARED / weight.sha256
        cache = user_cache_path("faceswap-engine", appauthor=False) / _PREPARED / weight.sha256
        return (beside, cache) if writable(beside) else (cache, beside)

    def _good_file(self, weight: Weight) -> Path:
        """The packaged file or, where that is not as recorded, the user's copy; verified.

        A copy that mended an older package is stale after the next one, so it comes second.
        """
        own = self.user_folder / weight.file
        if weight in self._embedded:
            packaged = self.folder / weight.file
            try:
                _verify(packaged, weight)
            except WeightsError:
                if not _there(own):
                    raise
            else:
                return packaged
        _verify(own, weight)
        return own

    def _status(self, weight: Weight) -> Status:
        try:
            return Status(weight, self._good_file(weight), "ok", "")
        except WeightsError as error:
            state: State = "missing" if isinstance(error, WeightsMissing) else "corrupt"
            folder = self.folder if weight in self._embedded else self.user_folder
            return Status(weight, folder / weight.file, state, str(error))

    def _imported(self) -> tuple[Weight, ...]:
        record = self.user_folder / RECORD
        try:
            return _parsed(record)
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise unreadable(record, error) from error
        except (ValueError, RecursionError) as error:
            raise WeightsCorrupt(
                f"{record}, the record of imported weights, is damaged ({str(error).rstrip('.')}); "
                f"`faceswap-engine weights import {shlex.quote(str(self.user_folder))}` writes it "
                "anew, by the files that are there."
            ) from error

    def _recognised(self, file: Path, called: str, *, source: Path) -> Weight:
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

    def _add(self, found: Mapping[Weight, _Write]) -> dict[Weight, _Added]:
        """Puts files and their rows into their places, unless they are here.

        All are written beside their places before any takes it: nobody ever sees half of one, and
        where one cannot be written, what was here stays.
        """
        if all(self._is_packaged(weight) for weight in found):
            return {weight: _Added(present=True) for weight in found}
        # File and row go together, and rows are added to those that are there.
        with alone(self.user_folder / _LOCK), ExitStack() as stack:

            def staged(file: str) -> Path:
                return stack.enter_context(scratch_beside(self.user_folder / file))

            before = {row.name: row for row in self._imported()}
            new = {weight.name: weight for weight in found if weight not in self._embedded}
            after = [row for row in before.values() if row.name not in new] + [*new.values()]
            scratches = {}
            for weight, write in found.items():
                if self._status(weight).state != "ok":
                    scratches[weight] = staged(weight.file)
                    write(scratches[weight])
            record = staged(RECORD)
            _write_record(record, after)
            for weight, scratch in scratches.items():
                scratch.replace(self.user_folder / weight.file)
            record.replace(self.user_folder / RECORD)
            with self._lock:
                for weight in scratches:
                    self._verified.pop(weight, None)
            calibrated = self._cleared(before.values(), after)
        replaced = {
            name for name in new if name in before and before[name].sha256 != new[name].sha256
        }
        return {
            weight: _Added(
                weight not in scratches,
                weight.name in replaced,
                weight.name in replaced & calibrated,
            )
            for weight in found
        }

    def _is_packaged(self, weight: Weight) -> bool:
        return weight in self._embedded and self._status(weight).state == "ok"

    def _cleared(self, before: Iterable[Weight], after: Iterable[Weight]) -> set[str]:
        """Removes what was made of files that are gone; the names of those that were calibrated."""
        kept = {weight.sha256 for weight in after}
        calibrated = set()
        for weight in before:
            if weight.sha256 not in kept:
                for folder in self.prepared_folders(weight):
                    if any(folder.glob(f"*/{CALIBRATION}")):
                        calibrated.add(weight.name)
                    shutil.rmtree(folder, ignore_errors=True)
        return calibrated

    def _mend(self) -> bool:
        """Writes the record anew, by the files that are there, if it is damaged, and tells that."""
        if not self._is_damaged():
            return False
        with alone(self.user_folder / _LOCK):
            if self._is_damaged():
                with replacing(self.user_folder / RECORD) as scratch:
                    _write_record(scratch, self._salvaged())
        return True

    def _is_damaged(self) -> bool:
        try:
            self._imported()
        except WeightsCorrupt:
            return True
        return False

    def _salvaged(self) -> Iterator[Weight]:
        for file in sorted(self.user_folder.glob("*.onnx")):
            with suppress(WeightsCorrupt):
                weight = self._recognised(file, file.name, source=file)
                if weight.file == file.name and weight not in self._embedded:
                    yield weight


def _report(added: Mapping[Weight, _Added]) -> ImportReport:
    def names(which: Callable[[_Added], bool]) -> frozenset[str]:
        return frozenset(weight.name for weight, what in added.items() if which(what))

    return ImportReport(
        tuple(added),
        present=names(lambda what: what.present),
        replaced=names(lambda what: what.replaced),
        uncalibrated=names(lambda what: what.uncalibrated),
    )


def _parsed(record: Path) -> tuple[Weight, ...]:
    rows = json.loads(record.read_text("utf-8"))
    if not isinstance(rows, list):
        raise WeightsCorrupt(f"it holds {type(rows).__name__}, not a list")
    return tuple(
        parse_imported(f"{record.name}, row {number}", row) for number, row in enumerate(rows, 1)
    )


def _write_record(record: Path, weights: Iterable[Weight]) -> None:
    rows = [asdict(weight) for weight in weights]
    record.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")


def _is_network(name: str) -> bool:
    """By the name; macOS keeps a file's attributes in another, of its name after "._"."""
    return name.endswith(".onnx") and not name.startswith("._")


@contextmanager
def _as_it_lies(path: Path) -> Iterator[Path]:
    yield path


def _in_archive(archive: Archive) -> Iterator[tuple[str, _Opening]]:
    """As `WeightStore._in_folder`, of a zip."""
    for member in archive.members:
        name = PurePosixPath(member.filename).name
        is_candidate = _is_network(name) and not member.is_dir()
        # A damaged directory may hide a network behind another name; to open it tells.
        if is_candidate or not archive.agrees(member):
            yield name, partial(_unpacked, archive, member)


@contextmanager
def _unpacked(archive: Archive, member: zipfile.ZipInfo) -> Iterator[Path]:
    """A scratch file of a member of a zip."""
    folder = Path(tempfile.gettempdir())
    free, needed = shutil.disk_usage(folder).free, archive.most_of(member)
    if needed > free:
        raise WeightsError(
            f"{member.filename} in {archive.path} unpacks to {needed >> 20} MiB, and "
            f"{folder} has {free >> 20} MiB left; make room, or name another folder in the "
            "environment variable TMPDIR."
        )
    with scratch_beside(folder / "member.onnx") as file:
        with file.open("wb") as scratch:
            scratch.writelines(archive.chunks(member))
        yield file


def _extract(bundle: Bundle, row: Weight, target: Path) -> None:
    """Write a bundle's file, if it keeps all its numbers."""
    bundle.extract(row, target)
    require_whole(target, row.file)


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


def _there(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False  # a folder that is closed to this user is of no help
