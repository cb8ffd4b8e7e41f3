"""The weight files: where they lie, whether their bytes are right, and bringing in more of them."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from platformdirs import user_cache_path, user_data_path

from engine.errors import WeightsCorrupt, WeightsError, WeightsMissing
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
from engine.runtime.recognise import recognise

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

    `known` names those whose sha256 is that of a published file; the others were recognised by
    their graphs. `present` names those that were here already, byte for byte.
    """

    imported: tuple[Weight, ...]
    skipped: tuple[str, ...]
    known: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()


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
        """All there should be: the embedded ones in the manifest's order, then the imported."""
        return self._embedded + self._imported()

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

        Raises as `network` does.
        """
        here = {weight.name for weight in self.weights()}
        return tuple(one for one in (name, *self.network(name).needs) if one not in here)

    def export(
        self, target: Path, names: Sequence[str] = (), *, overwrite: bool = False
    ) -> tuple[Weight, ...]:
        """Writes imported networks (all, or those named) to one file that `import_path` reads.

        Returns what went in. Each file is verified first.

        Raises:
            WeightsMissing: none was imported, or none of a name.
            WeightsCorrupt: a file's sha256 is not the one recorded.
            WeightsError: `target` exists and may not be replaced, or cannot be written.
        """
        if target.exists() and not overwrite:
            raise WeightsError(f"{target} exists; name another file, or allow overwriting.")
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
        graph. Folders are searched through; what cannot be recognised in a folder or a zip is left
        out and told. A bundle is what `export` wrote; of it, all comes in or nothing.

        Raises:
            WeightsMissing: there is nothing at `path`, or no ONNX file in it.
            WeightsCorrupt: nothing of it can be recognised; a bundle is not as it was written.
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
        present = {
            weight.name
            for weight in bundle.weights
            if not self._add(weight, partial(bundle.extract, weight))
        }
        return ImportReport(bundle.weights, (), present=frozenset(present))

    def _files(self, path: Path) -> ImportReport:
        imported: list[Weight] = []
        present: set[str] = set()
        skipped: list[str] = []
        for name, file in _candidates(path):
            try:
                weight = self._recognised(file, name, source=path)
            except WeightsCorrupt as error:
                skipped.append(str(error))
                continue
            imported.append(weight)
            if not self._add(weight, partial(shutil.copyfile, file)):
                present.add(weight.name)
        if not imported and not skipped:
            raise WeightsMissing(f"There is no ONNX file in {path}; nothing was imported.")
        if not imported:
            raise WeightsCorrupt(skipped[0])
        return ImportReport(tuple(imported), tuple(skipped), present=frozenset(present))

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
            rows = json.loads(record.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise _unreadable(record, error) from error
        except ValueError as error:
            raise WeightsCorrupt(
                f"{record} is not valid JSON ({error}); delete it and import the files again."
            ) from error
        if not isinstance(rows, list):
            raise WeightsCorrupt(
                f"{record} does not hold a list; delete it and import the files again."
            )
        return tuple(
            parse_imported(f"{record.name}, row {number}", row)
            for number, row in enumerate(rows, 1)
        )

    def _recognised(self, file: Path, called: str, *, source: Path) -> Weight:
        sha256 = sha256_of(file)
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

    def _add(self, weight: Weight, write: Callable[[Path], object]) -> bool:
        """Puts a weight's row into the record and, unless it is here, its file into its place.

        `write` writes the file, beside its place first: nobody ever sees half of it. Returns
        whether it was called.
        """
        embedded = any(weight.name == one.name for one in self._embedded)
        if embedded and self._status(weight).state == "ok":
            return False
        # File and row go together, and a row is added to those that are there.
        with alone(self.user_folder / _LOCK):
            here = self._status(weight).state == "ok"
            if not here:
                with replacing(self.user_folder / weight.file) as scratch:
                    write(scratch)
                with self._lock:
                    self._verified.pop(weight.name, None)
            if not embedded:
                self._record(weight)
        return not here

    def _record(self, weight: Weight) -> None:
        before = self._imported()
        others = [item for item in before if item.name != weight.name]
        rows = [asdict(item) for item in [*others, weight]]
        with replacing(self.user_folder / RECORD) as scratch:
            scratch.write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        # What was made of a file that is gone would stay for ever.
        kept = {item.sha256 for item in [*others, weight]}
        for item in before:
            if item.sha256 not in kept:
                for folder in self.prepared_folders(item):
                    shutil.rmtree(folder, ignore_errors=True)


def _candidates(path: Path) -> Iterator[tuple[str, Path]]:
    """(name to the user, file) of each ONNX file at, below or packed in `path`."""
    if path.is_dir():
        for file in sorted(path.rglob("*.onnx")):
            yield file.name, file
    elif zipfile.is_zipfile(path):
        yield from _packed(path)
    elif path.is_file():
        yield path.name, path
    else:
        raise WeightsMissing(f"There is nothing at {path}; name a folder, a zip or an ONNX file.")


def _packed(path: Path) -> Iterator[tuple[str, Path]]:
    """The same for the members of a zip, each unpacked to one scratch file in turn."""
    with tempfile.TemporaryDirectory() as scratch, unpacking(path, "a file"):
        file = Path(scratch) / "member.onnx"
        with zipfile.ZipFile(path) as bundle:
            members = [one for one in bundle.infolist() if one.filename.endswith(".onnx")]
            for member in members:
                with (
                    unpacking(path, member.filename),
                    bundle.open(member) as packed,
                    file.open("wb") as unpacked,
                ):
                    shutil.copyfileobj(packed, unpacked)
                yield Path(member.filename).name, file


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
