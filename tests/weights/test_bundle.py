"""Zips from outside: damaged anywhere, made to fill the disk, or with names that lead elsewhere."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from unittest.mock import Mock

import onnx
import pytest

from engine.errors import EngineError, WeightsCorrupt, WeightsError, WeightsMissing
from engine.weights import bundle
from engine.weights.atomic_files import sha256_of
from engine.weights.bundle import Archive
from engine.weights.manifest import MANIFEST, PACKS
from engine.weights.weight_store import ImportReport, WeightStore, embedded_folder
from tests.runtime.tiny_models import Signature

CONVERTER = Signature({"input": (1, 512)}, {"output": (1, 512)})
GENDER_AGE = Signature({"data": ("N", 3, 96, 96)}, {"fc1": (1, 3)})


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightStore:
    """A store without embedded networks, so that it is made in no time.

    Where files came from is on record: relative paths make the same bytes in every run.
    """
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copyfile(embedded_folder() / PACKS, folder / PACKS)
    (folder / MANIFEST).write_text("weight = []\n")
    return WeightStore(folder, tmp_path / "user")


def empty_like(store: WeightStore, folder: Path) -> WeightStore:
    return WeightStore(store.folder, folder)


def as_bundle(store: WeightStore, target: Path) -> None:
    for name, network in (("genderage", GENDER_AGE), ("crossface_ghost", CONVERTER)):
        network.save(Path(f"{name}.onnx"))
        store.import_path(Path(f"{name}.onnx"))
    store.export(target)


def as_zip(store: WeightStore, target: Path) -> None:
    as_bundle(store, target)
    with zipfile.ZipFile(target, "w") as packed:
        for weight in store.weights():
            member = zipfile.ZipInfo(f"models/{weight.file}", (1980, 1, 1, 0, 0, 0))
            packed.writestr(member, store.path(weight.name).read_bytes())
        packed.comment = b"weights"


def changes(content: bytes) -> Iterator[tuple[int, int]]:
    """Positions in a zip, and what to change there.

    Each byte of its headers and records is changed in several ways, and some of its members.
    """
    data = set[int]()
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        for member in packed.infolist():
            sizes = content[member.header_offset + 26 : member.header_offset + 30]
            names = int.from_bytes(sizes[:2], "little") + int.from_bytes(sizes[2:], "little")
            start = member.header_offset + 30 + names
            data.update(range(start, start + member.compress_size))
    structure = set(range(len(content))) - data
    yield from product(sorted(structure), (0x01, 0xFF))
    yield from product(sorted(data)[::11], (0x10,))


def import_or_error(store: WeightStore, packed: Path) -> ImportReport | str:
    try:
        return store.import_path(packed)
    except WeightsCorrupt as error:
        return str(error)


@pytest.mark.parametrize(
    ("write", "large"), [(as_bundle, False), (as_zip, True)], ids=["bundle", "zip64"]
)
def test_every_damaged_byte_is_told_or_does_no_harm(
    store: WeightStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[WeightStore, Path], None],
    large: bool,
) -> None:
    """Anywhere: it is refused, or what comes in is what was written all the same."""
    packed = tmp_path / "all.zip"
    with monkeypatch.context() as patch:
        if large:
            patch.setattr(zipfile, "ZIP64_LIMIT", 16)
            patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 0)
        write(store, packed)
    good = packed.read_bytes()
    assert (b"PK\6\6" in good) is large
    right = {weight.sha256 for weight in store.weights()}
    told = 0
    for position, change in changes(good):
        spoiled = bytearray(good)
        spoiled[position] ^= change
        packed.write_bytes(spoiled)
        report = import_or_error(store, packed)
        if isinstance(report, str):
            told += 1
            assert "damaged" in report
            assert "opy it again" in report
            assert {weight.sha256 for weight in store.weights()} == right
        else:
            # What came is what is here already, byte for byte.
            assert report.present == {weight.name for weight in report.imported}
            assert report.broken or {weight.sha256 for weight in report.imported} == right
            told += bool(report.broken)
    assert told > 300


@pytest.mark.parametrize("write", [as_bundle, as_zip])
def test_a_zip_that_is_cut_anywhere_is_told(
    store: WeightStore, tmp_path: Path, write: Callable[[WeightStore, Path], None]
) -> None:
    packed = tmp_path / "all.zip"
    write(store, packed)
    good = packed.read_bytes()
    there = empty_like(store, tmp_path / "there")
    for end in range(0, len(good) - len(b"weights"), 7):
        packed.write_bytes(good[:end])
        with pytest.raises(WeightsCorrupt, match=r"damaged.*copy it again"):
            there.import_path(packed)
        packed.write_bytes(good[end + 1 :])
        found = import_or_error(there, packed)
        broken = (found,) if isinstance(found, str) else found.broken
        assert all("damaged" in sentence for sentence in broken)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_zip_that_unpacks_to_too_much_is_stopped_on_the_way(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    monkeypatch.setattr(bundle, "_MAX_EXTRA_BYTES", 2**20)
    packed = tmp_path / "bomb.zip"
    with zipfile.ZipFile(packed, "w", method) as archive:
        for number in range(3):
            archive.writestr(f"{number}.onnx", bytes(2**24))
    with Archive(packed) as opened:
        chunks: list[bytes] = []
        with pytest.raises(WeightsCorrupt, match=r"0\.onnx in .*bomb\.zip unpacks to more than"):
            chunks.extend(opened.chunks(opened.members[0]))
        unpacked = sum(map(len, chunks))
        assert unpacked <= 2**20 + 32 * packed.stat().st_size
    report = store.import_path(packed)
    assert [sentence.split()[0] for sentence in report.broken] == ["0.onnx", "1.onnx", "2.onnx"]


def test_many_small_members_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_MAX_EXTRA_BYTES", 2**20)
    monkeypatch.setattr(bundle, "_MAX_RATIO", 0)
    packed = tmp_path / "bomb.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.onnx", bytes(2**18))
    with Archive(packed) as opened:
        for member in opened.members[:4]:
            list(opened.chunks(member))
        with pytest.raises(WeightsCorrupt, match="unpacks to more than weights can"):
            list(opened.chunks(opened.members[4]))


def test_one_member_ends_where_networks_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "_MAX_MEMBER_BYTES", 2**18)
    packed = tmp_path / "large.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("large.onnx", bytes(2**18 + 1))
        archive.writestr("right.onnx", bytes(2**18))
    with Archive(packed) as opened:
        large, right = opened.members
        with pytest.raises(WeightsCorrupt, match=r"large\.onnx .*unpacks to more than weights can"):
            list(opened.chunks(large))
        assert sum(map(len, opened.chunks(right))) == 2**18


def test_what_does_not_fit_on_the_disk_is_not_unpacked(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(GENDER_AGE.save(tmp_path / "genderage.onnx"), "genderage.onnx")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: Mock(free=10))
        with pytest.raises(WeightsError, match=r"unpacks to .*TMPDIR"):
            store.import_path(packed)
    assert store.import_path(packed).imported


def test_thousands_of_members_are_refused(tmp_path: Path, store: WeightStore) -> None:
    packed = tmp_path / "many.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(10_001):
            archive.writestr(f"{number}.onnx", b"")
    with pytest.raises(WeightsCorrupt, match=r"has 10001 members, and at most 10000"):
        store.import_path(packed)


@pytest.mark.parametrize(
    "name",
    [
        "../../genderage.onnx",
        "/genderage.onnx",
        "C:\\genderage.onnx",
        "..\\genderage.onnx",
        "a/./../genderage.onnx",
    ],
)
def test_where_a_members_name_leads_is_of_no_account(
    store: WeightStore, tmp_path: Path, name: str
) -> None:
    whole = GENDER_AGE.save(tmp_path / "genderage.onnx")
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(whole, name)
    before = set(tmp_path.rglob("*"))
    assert [weight.file for weight in store.import_path(packed).imported] == ["genderage.onnx"]
    new = set(tmp_path.rglob("*")) - before
    assert all(store.user_folder in (path, *path.parents) for path in new)


def test_a_link_in_a_zip_is_not_followed(store: WeightStore, tmp_path: Path) -> None:
    whole = GENDER_AGE.save(tmp_path / "elsewhere.onnx")
    link = zipfile.ZipInfo("genderage.onnx")
    link.external_attr = 0o120777 << 16
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(link, str(whole))
    report = store.import_path(packed)
    assert not report.imported
    assert report.broken[0].startswith("genderage.onnx is cut short, damaged, or no ONNX file")


@pytest.mark.parametrize("file", ["", "..", "a/b.onnx", "a\\b", "a\0.onnx", "\ud800.onnx", "c:x"])
def test_a_row_of_a_bundle_names_a_file_and_no_place(
    store: WeightStore, tmp_path: Path, file: str
) -> None:
    packed = tmp_path / "all.bundle"
    as_bundle(store, packed)
    with zipfile.ZipFile(packed) as archive:
        rows = json.loads(archive.read(bundle.ROWS))
    rows[0]["file"] = file
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(bundle.ROWS, json.dumps(rows))
    with pytest.raises(WeightsCorrupt, match="file must be a file name without a folder"):
        store.import_path(packed)


@pytest.mark.parametrize("rows", ["[" * 100_000, "{}", "[3]", "nul", '["\\ud800"]', "[1e999]"])
def test_a_manifest_that_is_none_is_told(store: WeightStore, tmp_path: Path, rows: str) -> None:
    packed = tmp_path / "all.bundle"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(bundle.ROWS, rows)
    with pytest.raises(WeightsCorrupt, match=r"bundle\.json") as told:
        store.import_path(packed)
    assert "encrypted" not in str(told.value)


def test_a_bundle_brings_no_network_whose_numbers_are_elsewhere(
    store: WeightStore, tmp_path: Path
) -> None:
    packed = tmp_path / "all.bundle"
    as_bundle(store, packed)
    path = store.path("genderage")
    onnx.save(
        onnx.load(str(path)), str(path), save_as_external_data=True, location="d", size_threshold=0
    )
    with zipfile.ZipFile(packed) as archive:
        rows = json.loads(archive.read(bundle.ROWS))
        others = {row["file"]: archive.read(row["file"]) for row in rows}
    others["genderage.onnx"] = path.read_bytes()
    for row in rows:
        row["size"] = len(others[row["file"]])
        if row["name"] == "genderage":
            row["sha256"] = sha256_of(path)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(bundle.ROWS, json.dumps(rows))
        for name, content in others.items():
            archive.writestr(name, content)
    there = empty_like(store, tmp_path / "there")
    with pytest.raises(WeightsCorrupt, match=r"genderage\.onnx has external data: "):
        there.import_path(packed)
    assert not list(there.user_folder.glob("*.onnx"))


def test_encrypted_zips_are_told_what_to_do(store: WeightStore, tmp_path: Path) -> None:
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(GENDER_AGE.save(tmp_path / "genderage.onnx"), "genderage.onnx")
    content = bytearray(packed.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\1\2") + 8] |= 1
    packed.write_bytes(content)
    (sentence,) = store.import_path(packed).broken
    assert sentence.startswith("genderage.onnx cannot be read from")
    assert sentence.endswith("If it is encrypted or packed by a rare method, unpack it first.")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_the_disks_errors_are_not_the_zips(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    packed = tmp_path / "all.bundle"
    as_bundle(store, packed)

    def failing(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(zipfile.ZipExtFile, "read", failing)
        with pytest.raises(WeightsError, match=f"cannot be read: {os.strerror(number)}") as told:
            store.import_path(packed)
    assert not isinstance(told.value, WeightsCorrupt)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        with pytest.raises(EngineError, match=f"cannot be read: {os.strerror(number)}"):
            store.import_path(packed)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_refused_and_not_waited_for(store: WeightStore, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.onnx")
    with pytest.raises(WeightsMissing, match="no regular file"):
        store.import_path(tmp_path / "pipe.onnx")
