"""The weight files: where they lie, whether their bytes are right, and bringing in more of them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from platformdirs import user_cache_path, user_data_path

from engine.errors import OutputExists, WeightsCorrupt, WeightsError, WeightsMissing
from engine.runtime.bundle import Bundle, is_bundle, unpacking, write_bundle
from engine.runtime.files import alone, replacing, sha256_of, writable
from engine.runtime.manifest import (
    MANIFEST,
    PACKS,
    Network,
    Weight,
    parse_imported,
    read_manifest,
    read_packs,
)
from engine.runtime.quantise import RECORD as CALIBRATION
from engine.runtime.recognise import UnrecognisedError, recognise

VARIABLE: Final = "FACESWAP_ENGINE_WEIGHTS"
RECORD: Final = "imported.json"
_LOCK = ".imported.lock"
_PREPARED = "prepared"

State: TypeAlias = Literal["ok", "missing", "corrupt"]

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

    Of these, `skipped` are whole, but no networks known here, and `broken` cannot be read. `known`
    names those imported whose sha256 is that of a published file; the others were recognised by
    their graphs. `present` names those that were here already, byte for byte, `replaced` those that
    took another file's place, and `uncalibrated` those whose int8 graph went with that file.
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
        self._verified: dict[str, Path] = {}
        self._lock = threading.Lock()

    def weights(self) -> tuple[Weight, ...]:
        """All there should be: the embedded ones in the manifest's order, then the imported.

        Those are left out where their record cannot be read; see `trouble`.
        """
        return self._embedded if self.trouble() else self._embedded + self._imported()

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
            if name not in self._verified:
                self._verified[name] = self._good_file(weight)
            return self._verified[name]

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
        weights = tuple(map(self.weight, names)) or self._imported()
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
        is left out and told. A bundle is what `export` wrote; of it, all comes in or nothing. A
        damaged record of earlier imports is written anew, by the files that are there.

        Raises:
            WeightsMissing: there is nothing at `path`, or no ONNX file in it.
            WeightsCorrupt: nothing of it can be read or recognised; a bundle is not as it was
                written.
            WeightsError: the user's folder cannot be written.
        """
        report = self._bundle(path) if path.is_file() and is_bundle(path) else self._files(path)
        published = {digest for network in self._networks for digest in network.sha256}
        published |= {weight.sha256 for weight in self._embedded}
        known = frozenset(one.name for one in report.imported if one.sha256 in published)
        return replace(report, known=known)

    def _bundle(self, path: Path) -> ImportReport:
        bundle = Bundle(path)
        own = {weight.sha256 for weight in self._embedded}
        for weight in bundle.weights:
            # Its name must not be one that some other file here goes by.
            if weight.sha256 not in own and weight.file != f"{self.network(weight.name).name}.onnx":
                raise WeightsCorrupt(
                    f"{path} holds {weight.name} as {weight.file}, not {weight.name}.onnx; "
                    "write the bundle anew with `faceswap-engine weights export`."
                )
        added = {
            weight: self._add(weight, partial(bundle.extract, weight)) for weight in bundle.weights
        }
        return _report(added)

    def _files(self, path: Path) -> ImportReport:
        added: dict[Weight, _Added] = {}
        skipped: list[str] = []
        broken: list[str] = []
        for name, opened in self._candidates(path):
            try:
                with opened as file:
                    weight = self._recognised(file, name, source=path)
                    added.setdefault(weight, self._add(weight, partial(shutil.copyfile, file)))
            except UnrecognisedError as error:
                skipped.append(str(error))
            except WeightsCorrupt as error:
                broken.append(str(error))
        if not (added or skipped or broken):
            raise WeightsMissing(f"There is no ONNX file in {path}; nothing was imported.")
        if not added:
            raise WeightsCorrupt(" ".join(broken or skipped))
        return replace(_report(added), skipped=tuple(skipped), broken=tuple(broken))

    def _candidates(self, path: Path) -> Iterator[tuple[str, AbstractContextManager[Path]]]:
        """(name to the user, file while it is open) of each ONNX file at, below or in `path`."""
        if path.is_dir():
            made = self.user_folder / _PREPARED
            for file in sorted(path.rglob("*.onnx")):
                if made not in file.parents:
                    yield file.name, nullcontext(file)
        elif zipfile.is_zipfile(path):
            with unpacking(path, "a file"), zipfile.ZipFile(path) as packed:
                names = [name for name in packed.namelist() if name.endswith(".onnx")]
            for name in names:
                yield Path(name).name, _unpacked(path, name)
        elif path.is_file():
            yield path.name, nullcontext(path)
        else:
            raise WeightsMissing(
                f"There is nothing at {path}; name a folder, a zip or an ONNX file."
            )

    def prepared_folders(self, weight: Weight) -> tuple[Path, ...]:
        """Where what is made of a weight's file is kept, the one to write to first.

        That is the user's folder for imports or, where it cannot be written, one in the user's
        cache. None need exist.
        """
        beside = self.user_folder / _PREPARED / weight.sha256
        if writable(beside):
            return (beside,)
        cache = user_cache_path("faceswap-engine", appauthor=False)
        return cache / _PREPARED / weight.sha256, beside

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
            raise _unreadable(record, error) from error
        except ValueError as error:
            raise WeightsCorrupt(
                f"{record}, the record of imported weights, is damaged ({str(error).rstrip('.')}); "
                f"`faceswap-engine weights import '{self.user_folder}'` writes it anew, by the "
                "files that are there."
            ) from error

    def _recognised(self, file: Path, called: str, *, source: Path) -> Weight:
        try:
            sha256 = sha256_of(file)
        except OSError as error:
            raise WeightsCorrupt(str(_unreadable(file, error))) from error
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

    def _add(self, weight: Weight, write: Callable[[Path], object]) -> _Added:
        """Puts a weight's row into the record and, unless it is here, its file into its place.

        `write` writes the file, beside its place first: nobody ever sees half of it.
        """
        embedded = any(weight.name == one.name for one in self._embedded)
        if embedded and self._status(weight).state == "ok":
            return _Added(present=True)
        # File and row go together, and a row is added to those that are there.
        with alone(self.user_folder / _LOCK):
            here = self._status(weight).state == "ok"
            if not here:
                with replacing(self.user_folder / weight.file) as scratch:
                    write(scratch)
                with self._lock:
                    self._verified.pop(weight.name, None)
            return _Added(here) if embedded else self._record(weight, present=here)

    def _record(self, weight: Weight, *, present: bool) -> _Added:
        before = self._mended()
        others = [item for item in before if item.name != weight.name]
        rows = [asdict(item) for item in [*others, weight]]
        with replacing(self.user_folder / RECORD) as scratch:
            scratch.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        # What was made of a file that is gone would stay for ever.
        kept = {item.sha256 for item in [*others, weight]}
        gone = [
            folder
            for item in before
            if item.sha256 not in kept
            for folder in self.prepared_folders(item)
        ]
        calibrated = any(any(folder.glob(f"*/{CALIBRATION}")) for folder in gone)
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        replaced = any(item.name == weight.name and item.sha256 != weight.sha256 for item in before)
        return _Added(present, replaced, replaced and calibrated)

    def _mended(self) -> tuple[Weight, ...]:
        """The imported weights; where their record is damaged, what their files are known by."""
        try:
            return self._imported()
        except WeightsCorrupt:
            return tuple(self._salvaged())

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


@contextmanager
def _unpacked(path: Path, member: str) -> Iterator[Path]:
    """A scratch file of a member of a zip."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "member.onnx"
        with (
            unpacking(path, member),
            zipfile.ZipFile(path) as packed,
            packed.open(member) as content,
            file.open("wb") as scratch,
        ):
            shutil.copyfileobj(content, scratch)
        yield file


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
        raise _unreadable(path, error) from error
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


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"{path} cannot be read: {error.strerror or error}; change its permissions or those of its "
        "folder."
    )
