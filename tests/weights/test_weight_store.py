from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from engine.errors import MediaError, OutputExists, WeightsCorrupt, WeightsError, WeightsMissing
from engine.weights import atomic_files, recognise, weight_store
from engine.weights.manifest import MANIFEST, PACKS, Weight
from engine.weights.weight_store import CALIBRATION, RECORD, VARIABLE, WeightStore, embedded_folder
from tests.runtime.tiny_models import Signature

INSWAPPER = Signature(
    {"target": (1, 3, 128, 128), "source": (1, 512)}, {"output": (1, 3, 128, 128)}, with_emap=True
)
ARCFACE = Signature({"input.1": ("N", 3, 112, 112)}, {"683": (1, 512)})
LANDMARKS_106 = Signature({"data": ("N", 3, 192, 192)}, {"fc1": (1, 212)})
GENDER_AGE = Signature({"data": ("N", 3, 96, 96)}, {"fc1": (1, 3)})
RESTORER = Signature({"input": (1, 3, 512, 512)}, {"output": (1, 3, 512, 512)})
SCRFD = Signature(
    {"input.1": (1, 3, "height", "width")},
    {f"{400 + n}": (12800 >> 2 * (n % 3), (1, 4, 10)[n // 3]) for n in range(9)},
)
SWAPPER_256 = Signature(
    {"target": (1, 3, 256, 256), "source": (1, 512)}, {"output": (1, 3, 256, 256)}
)
HYPERSWAP = Signature(SWAPPER_256.inputs, {"output": (1, 3, 256, 256), "mask": (1, 1, 256, 256)})
BLENDSWAP = Signature(
    {"target": (1, 3, 256, 256), "source": (1, 3, 112, 112)}, {"output": (1, 3, 256, 256)}
)
CONVERTER = Signature({"input": (1, 512)}, {"output": (1, 512)})
XSEG = Signature({"input": ("N", 256, 256, 3)}, {"output": (1, 256, 256, 1)})
PARSER = Signature({"input": ("N", 3, 512, 512)}, {"output": (1, 19, 512, 512)})
PARSER_MORE = Signature(PARSER.inputs, {**PARSER.outputs, "aside": (1, 19, 512, 512)})
CODEFORMER = Signature({"input": (1, 3, 512, 512), "weight": (1,)}, {"output": (1, 3, 512, 512)})
FAIRFACE = Signature(
    {"input": ("N", 3, 224, 224)}, {"race_id": (1,), "gender_id": (1,), "age_id": (1,)}
)


@pytest.fixture
def store(tmp_path: Path) -> WeightStore:
    """A store of copies of the two smallest networks, and no imports."""
    source, folder = embedded_folder(), tmp_path / "weights"
    folder.mkdir()
    shutil.copyfile(source / PACKS, folder / PACKS)
    for file in ("yunet_2023mar.onnx", "gender_v1.onnx"):
        shutil.copyfile(source / file, folder / file)
    _, *rows = (source / MANIFEST).read_text("utf-8").split("[[weight]]")
    kept = [f"[[weight]]{row}" for row in rows if 'name = "yunet"' in row or "gender_v1" in row]
    (folder / MANIFEST).write_text("".join(kept), "utf-8")
    return WeightStore(folder, tmp_path / "user")


def test_the_embedded_weights_are_whole() -> None:
    assert [status.detail for status in WeightStore().verify() if status.state != "ok"] == []


def test_the_folder_comes_from_the_environment_first(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, str(store.folder))
    assert embedded_folder() == store.folder
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(WeightsMissing, match=VARIABLE):
        embedded_folder()


def test_a_path_is_verified_once(store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    digest = atomic_files.sha256_of

    def counted(path: Path) -> str:
        read.append(path)
        return digest(path)

    monkeypatch.setattr(weight_store, "sha256_of", counted)
    assert store.path("yunet") == store.path("yunet") == store.folder / "yunet_2023mar.onnx"
    assert len(read) == 1


def test_a_missing_file_is_named(store: WeightStore) -> None:
    (store.folder / "gender_v1.onnx").unlink()
    with pytest.raises(WeightsMissing, match=r"gender_v1\.onnx of gender .*weights import"):
        store.path("gender")
    assert [status.state for status in store.verify()].count("missing") == 1


@pytest.mark.parametrize("cut", [0, 1], ids=["changed", "cut"])
def test_a_wrong_file_is_named(store: WeightStore, cut: int) -> None:
    path = store.folder / "gender_v1.onnx"
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data[: len(data) - cut])
    with pytest.raises(WeightsCorrupt, match=r"gender_v1\.onnx has .*weights import"):
        store.path("gender")
    assert [status.state for status in store.verify()].count("corrupt") == 1


def test_importing_a_good_copy_mends_a_wrong_file(store: WeightStore, tmp_path: Path) -> None:
    (store.folder / "gender_v1.onnx").write_bytes(b"wrong")
    good = tmp_path / "under another name.onnx"
    shutil.copyfile(embedded_folder() / "gender_v1.onnx", good)
    report = store.import_path(good)
    assert [weight.name for weight in report.imported] == ["gender"]
    assert store.path("gender").read_bytes() == good.read_bytes()
    assert {status.state for status in store.verify()} == {"ok"}


def test_a_stale_copy_does_not_take_the_place_of_a_good_package(store: WeightStore) -> None:
    weight = store.weights()[0]
    store.user_folder.mkdir()
    (store.user_folder / weight.file).write_bytes(b"of an older version")
    assert store.path(weight.name) == store.folder / weight.file
    assert store.verify()[0].state == "ok"


def test_what_may_not_be_read_is_told(store: WeightStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:  # as root, nothing is forbidden
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    weight, other = store.weights()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        assert re.search(r"imported\.json cannot be read.*permissions", store.import_record_error())
        assert store.weights() == (weight, other)
        assert store.path(weight.name)
        with pytest.raises(WeightsError, match=r"imported\.json cannot be read"):
            store.missing("inswapper_128")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match=rf"{other.file} cannot be read.*permissions"):
        store.path(other.name)


def test_unknown_names_are_told(store: WeightStore) -> None:
    with pytest.raises(WeightsMissing, match=r"no network 'yolo'; there are yunet, "):
        store.weight("yolo")
    with pytest.raises(WeightsMissing, match=r"inswapper_128 of the pack insightface .*research"):
        store.path("inswapper_128")
    assert not store.has("inswapper_128")


@pytest.mark.parametrize(
    ("file", "signature", "name", "role"),
    [
        ("inswapper_128.onnx", INSWAPPER, "inswapper_128", "swapper"),
        ("inswapper_128.fp16.onnx", INSWAPPER, "inswapper_128_fp16", "swapper"),
        ("W600K_R50.onnx", ARCFACE, "w600k_r50", "embedder"),
        ("det_10g.onnx", SCRFD, "det_10g", "detector"),
        ("whatever.onnx", LANDMARKS_106, "2d106det", "landmarker"),
        ("whatever.onnx", GENDER_AGE, "genderage", "attributes"),
        ("whatever.onnx", FAIRFACE, "fairface", "attributes"),
        ("GFPGANv1.4.onnx", RESTORER, "gfpgan_1.4", "restorer"),
        ("restoreformer_plus_plus.onnx", RESTORER, "restoreformer_plus_plus", "restorer"),
        ("whatever.onnx", CODEFORMER, "codeformer", "restorer"),
        ("hyperswap_1c_256.onnx", HYPERSWAP, "hyperswap_1c_256", "swapper"),
        ("ghost_3_256.onnx", SWAPPER_256, "ghost_3_256", "swapper"),
        ("simswap_256.onnx", SWAPPER_256, "simswap_256", "swapper"),
        ("hififace_unofficial_256.onnx", SWAPPER_256, "hififace_unofficial_256", "swapper"),
        ("whatever.onnx", BLENDSWAP, "blendswap_256", "swapper"),
        ("crossface_simswap.onnx", CONVERTER, "crossface_simswap", "converter"),
        ("xseg_2.onnx", XSEG, "xseg_2", "occluder"),
        ("bisenet_resnet_18.onnx", PARSER, "bisenet_resnet_18", "parser"),
        ("bisenet_resnet_34.onnx", PARSER_MORE, "bisenet_resnet_34", "parser"),
    ],
)
def test_networks_are_recognised_by_their_graph(
    store: WeightStore,
    tmp_path: Path,
    file: str,
    signature: Signature,
    name: str,
    role: str,
) -> None:
    path = signature.save(tmp_path / file)
    (weight,) = store.import_path(path).imported
    assert (weight.name, weight.role, weight.size) == (name, role, path.stat().st_size)
    assert weight.output == tuple(signature.outputs)
    assert store.path(name).read_bytes() == path.read_bytes()
    assert weight in WeightStore(store.folder, store.user_folder).weights()


def test_an_import_of_the_same_name_takes_the_others_place(
    store: WeightStore, tmp_path: Path
) -> None:
    for value in (1.0, 2.0):
        path = GENDER_AGE.save(tmp_path / "genderage.onnx", value=value)
        store.import_path(path)
        assert store.path("genderage").read_bytes() == path.read_bytes()
    assert [weight.name for weight in store.weights()].count("genderage") == 1


def test_a_folder_and_a_zip_bring_what_is_known_and_tell_the_rest(
    store: WeightStore, tmp_path: Path
) -> None:
    folder = tmp_path / "models" / "buffalo_l"
    folder.mkdir(parents=True)
    ARCFACE.save(folder / "w600k_r50.onnx")
    LANDMARKS_106.save(folder / "2d106det.onnx")
    Signature({"x": (1,)}, {"y": (7,)}).save(folder / "strange.onnx")
    (folder / "readme.txt").write_text("no network")
    bundle = tmp_path / "buffalo_l.zip"
    with zipfile.ZipFile(bundle, "w") as packed:
        for file in folder.iterdir():
            packed.write(file, f"../buffalo_l/{file.name}")
    for source in (folder.parent, bundle):
        target = WeightStore(store.folder, tmp_path / "users" / source.name)
        report = target.import_path(source)
        assert {weight.name for weight in report.imported} == {"w600k_r50", "2d106det"}
        assert len(report.skipped) == 1
        assert report.skipped[0].startswith("strange.onnx is none of the known networks")
        assert {status.state for status in target.verify()} == {"ok"}


def test_what_cannot_be_told_apart_is_asked_for(store: WeightStore, tmp_path: Path) -> None:
    path = RESTORER.save(tmp_path / "model.onnx")
    with pytest.raises(WeightsCorrupt, match=r"any of several .*gfpgan_1\.4\.onnx"):
        store.import_path(path)


def test_an_unknown_network_is_told_by_its_shapes(store: WeightStore, tmp_path: Path) -> None:
    path = Signature({"x": (1, "k")}, {"y": (7,)}).save(tmp_path / "strange.onnx")
    with pytest.raises(WeightsCorrupt, match=r"x \(1, any\) and the outputs y \(7\)\. .*list"):
        store.import_path(path)
    assert not store.user_folder.exists()


def test_a_picture_is_no_row_of_numbers(store: WeightStore, tmp_path: Path) -> None:
    """Of (1, 3, 512, 512), the last dimension is that of a converter's input."""
    path = RESTORER.save(tmp_path / "crossface_ghost.onnx")
    with pytest.raises(WeightsCorrupt, match=r"any of several .*gfpgan_1\.4\.onnx") as told:
        store.import_path(path)
    assert str(told.value).count("crossface") == 1


def test_an_inswapper_without_its_map_is_refused(store: WeightStore, tmp_path: Path) -> None:
    path = replace(INSWAPPER, with_emap=False).save(tmp_path / "inswapper_128.onnx")
    with pytest.raises(WeightsCorrupt, match=r"inswapper_128\.onnx holds no matrix of 512 x 512"):
        store.import_path(path)
    assert not store.has("inswapper_128")


def test_a_network_in_two_files_is_refused(store: WeightStore, tmp_path: Path) -> None:
    path = tmp_path / "genderage.onnx"
    model = onnx.load(str(GENDER_AGE.save(path)))
    onnx.save(model, str(path), save_as_external_data=True, location="data", size_threshold=0)
    with pytest.raises(WeightsCorrupt, match=r"genderage\.onnx has external data: "):
        store.import_path(path)


@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_told(store: WeightStore, tmp_path: Path, kept: float) -> None:
    whole = INSWAPPER.save(tmp_path / "inswapper_128.onnx")
    bundle = tmp_path / "all.bundle"
    store.import_path(whole)
    store.export(bundle)
    packed = tmp_path / "all.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(whole)
    for path in (whole, bundle, packed):
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(
            WeightsCorrupt, match=rf"^{path.name} is cut short, damaged, or no ONNX file, "
        ):
            store.import_path(path)


def test_nothing_to_import_is_told(store: WeightStore, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    with pytest.raises(WeightsMissing, match="nothing at"):
        store.import_path(tmp_path / "nobody")
    with pytest.raises(WeightsMissing, match="no ONNX file in"):
        store.import_path(empty)
    with pytest.raises(WeightsCorrupt, match=r"^text\.onnx is cut short"):
        store.import_path(text)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path, store: WeightStore) -> None:
    (tmp_path / "file").write_text("in the way")
    path = GENDER_AGE.save(tmp_path / "genderage.onnx")
    blocked = WeightStore(store.folder, tmp_path / "file" / "user")
    with pytest.raises(WeightsError, match="cannot be written"):
        blocked.import_path(path)


def test_an_import_leaves_no_scratch_file(store: WeightStore, tmp_path: Path) -> None:
    store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx"))
    names = sorted(path.name for path in store.user_folder.iterdir())
    assert names == [".imported.lock", "genderage.onnx", RECORD]


NETWORKS = {
    "genderage": GENDER_AGE,
    "2d106det": LANDMARKS_106,
    "inswapper_128": INSWAPPER,
    "crossface_ghost": CONVERTER,
}


def test_imports_at_the_same_time_lose_nothing(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them reads the record, waits, and writes it."""
    read = WeightStore._imported

    def slowly(one: WeightStore) -> tuple[Weight, ...]:
        rows = read(one)
        time.sleep(0.05)
        return rows

    monkeypatch.setattr(WeightStore, "_imported", slowly)
    paths = [network.save(tmp_path / f"{name}.onnx") for name, network in NETWORKS.items()]
    with ThreadPoolExecutor(len(paths)) as pool:
        stores = [WeightStore(store.folder, store.user_folder) for _ in paths]
        list(pool.map(WeightStore.import_path, stores, paths))
    assert {weight.name for weight in read(store)} == NETWORKS.keys()


def test_processes_import_side_by_side(store: WeightStore, tmp_path: Path) -> None:
    """More than once each, so that they meet."""
    code = (
        "import sys; from pathlib import Path\n"
        "from engine.weights.weight_store import WeightStore\n"
        "folder, user, *paths = map(Path, sys.argv[1:])\n"
        "for path in paths: WeightStore(folder, user).import_path(path)"
    )
    paths = [network.save(tmp_path / f"{name}.onnx") for name, network in NETWORKS.items()]
    orders = [paths, paths[::-1], paths[2:] + paths[:2]]
    processes = [
        subprocess.Popen([sys.executable, "-c", code, store.folder, store.user_folder, *order])
        for order in orders
    ]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert {weight.name for weight in store.weights() if weight.pack != "embedded"} == (
        NETWORKS.keys()
    )
    assert {status.state for status in store.verify()} == {"ok"}


def test_a_lock_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with (
        pytest.raises(WeightsError, match="lock cannot be written"),
        atomic_files.exclusive_lock(tmp_path / "file" / "lock"),
    ):
        pass


@pytest.mark.parametrize("content", ["", "{", "3", json.dumps([{"pack": "x"}]), "[3]"])
def test_a_broken_record_stops_the_imported_networks_alone(
    store: WeightStore, tmp_path: Path, content: str
) -> None:
    """And any import writes it anew, by the files that are there."""
    names = ("inswapper_128", "crossface_ghost")
    for name in names:
        store.import_path(NETWORKS[name].save(tmp_path / f"{name}.onnx"))
    (store.user_folder / "strange.onnx").write_text("no network")
    before = [(weight.name, weight.sha256) for weight in store.weights()]
    (store.user_folder / RECORD).write_text(content)
    assert [weight.pack for weight in store.weights()] == ["embedded", "embedded"]
    assert not store.has(names[0])
    assert store.path("yunet").is_file()
    remedy = rf"imported\.json.* is damaged: .*weights import {store.user_folder}`"
    assert re.search(remedy, store.import_record_error())
    for ask in (store.path, store.weight, store.missing):
        with pytest.raises(WeightsCorrupt, match=remedy):
            ask(names[0])
    store.import_path(store.user_folder)
    assert not store.import_record_error()
    assert sorted((weight.name, weight.sha256) for weight in store.weights()) == sorted(before)


def test_a_broken_record_is_mended_by_an_import_of_anything(
    store: WeightStore, tmp_path: Path
) -> None:
    store.import_path(INSWAPPER.save(tmp_path / "inswapper_128.onnx"))
    (store.user_folder / RECORD).write_text("")
    store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx"))
    assert store.has("inswapper_128")
    assert store.has("genderage")


def test_every_network_is_known_by_the_name_of_its_file_here(store: WeightStore) -> None:
    for network in store.installable():
        assert network.name.lower() in network.stems


def test_the_names_that_copies_get_mean_no_other_network(store: WeightStore) -> None:
    stems = {stem: one.name for one in store.installable() for stem in one.stems}
    for stem, name in stems.items():
        assert stems.get(recognise.without_copy_mark(stem), name) == name


@pytest.mark.parametrize(
    "mark", [" (1)", "(2)", "-1", " - Copy", " - Copy (3)", " copy", " copy 2", ""]
)
@pytest.mark.parametrize("name", ["gfpgan_1.4", "GPEN-BFR-512", "gpen_bfr_512"])
def test_a_copy_is_known_by_the_originals_name(
    store: WeightStore, tmp_path: Path, name: str, mark: str
) -> None:
    path = RESTORER.save(tmp_path / f"{name}{mark}.onnx")
    (weight,) = store.import_path(path).imported
    assert weight.name == name.lower().replace("-", "_")


@pytest.mark.parametrize("mark", ["_1", " x", "-10", "(a)", ".1"])
def test_what_is_no_mark_of_a_copy_is_another_name(
    store: WeightStore, tmp_path: Path, mark: str
) -> None:
    with pytest.raises(WeightsCorrupt, match="any of several"):
        store.import_path(RESTORER.save(tmp_path / f"gfpgan_1.4{mark}.onnx"))


def test_broken_files_among_good_ones_are_told_apart_from_unknown_ones(
    store: WeightStore, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    GENDER_AGE.save(folder / "genderage.onnx")
    Signature({"x": (1,)}, {"y": (7,)}).save(folder / "strange.onnx")
    content = ARCFACE.save(folder / "arcface.onnx").read_bytes()
    (folder / "arcface.onnx").write_bytes(content[:-9])
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    # In the zip, a file can be changed besides: that is found before it is looked at.
    spoiled = bytearray(packed.read_bytes())
    spoiled[spoiled.index(content[:-9]) + 20] ^= 1
    packed.write_bytes(spoiled)
    for source, broken in ((folder, "arcface.onnx is cut short"), (packed, "arcface.onnx cannot")):
        there = WeightStore(store.folder, tmp_path / "users" / source.name)
        report = there.import_path(source)
        assert [weight.name for weight in report.imported] == ["genderage"]
        assert [one.split(" is none")[0] for one in report.skipped] == ["strange.onnx"]
        assert [one.startswith(broken) for one in report.broken] == [True]


def test_a_published_file_is_known_by_its_sha256(store: WeightStore, tmp_path: Path) -> None:
    path = RESTORER.save(tmp_path / "whatever.onnx")
    with pytest.raises(WeightsCorrupt, match=r"could be any of several"):
        store.import_path(path)
    packs = store.folder / PACKS
    was = next(one for one in store.installable() if one.name == "gfpgan_1.4").sha256[0]
    packs.write_text(packs.read_text("utf-8").replace(was, atomic_files.sha256_of(path)), "utf-8")
    store = WeightStore(store.folder, store.user_folder)
    report = store.import_path(path)
    assert [weight.name for weight in report.imported] == ["gfpgan_1.4"]
    assert report.known == {"gfpgan_1.4"}


def test_what_is_here_is_not_copied_again(store: WeightStore, tmp_path: Path) -> None:
    path = GENDER_AGE.save(tmp_path / "genderage.onnx")
    first = store.import_path(path)
    assert (first.known, first.present) == (frozenset(), frozenset())
    before = store.path("genderage").stat().st_mtime_ns
    assert store.import_path(path).present == {"genderage"}
    assert store.path("genderage").stat().st_mtime_ns == before


def test_what_was_made_of_a_replaced_file_goes_with_it(store: WeightStore, tmp_path: Path) -> None:
    store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=1.0))
    folder, _ = store.prepared_folders(store.weight("genderage"))
    made = folder / "v1"
    made.mkdir(parents=True)
    report = store.import_path(LANDMARKS_106.save(tmp_path / "2d106det.onnx"))
    assert made.exists()
    assert (report.replaced, report.uncalibrated) == (frozenset(), frozenset())
    report = store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=2.0))
    assert not made.exists()
    assert report.replaced == {"genderage"}
    assert not report.uncalibrated
    folder, _ = store.prepared_folders(store.weight("genderage"))
    (folder / "v1").mkdir(parents=True)
    (folder / "v1" / CALIBRATION).write_text("{}")
    report = store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=3.0))
    assert report.replaced == report.uncalibrated == {"genderage"}


def test_a_network_misses_itself_and_what_it_needs(store: WeightStore, tmp_path: Path) -> None:
    needs = ("ghost_1_256", "w600k_r50", "crossface_ghost")
    assert store.missing("ghost_1_256") == needs
    store.import_path(ARCFACE.save(tmp_path / "w600k_r50.onnx"))
    store.import_path(SWAPPER_256.save(tmp_path / "ghost_1_256.onnx"))
    assert store.missing("ghost_1_256") == ("crossface_ghost",)
    store.import_path(CONVERTER.save(tmp_path / "crossface_ghost.onnx"))
    assert store.missing("ghost_1_256") == ()
    with pytest.raises(WeightsMissing, match=r"no network 'ghost' to import; there are det_10g"):
        store.missing("ghost")


@pytest.fixture
def store_with_imports(
    store: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> WeightStore:
    """A store of two imported networks, on record by relative paths: the same bytes every time."""
    monkeypatch.chdir(tmp_path)
    store.import_path(GENDER_AGE.save(Path("genderage.onnx"), value=3.0))
    store.import_path(CONVERTER.save(Path("crossface_ghost.onnx")))
    return store


def test_a_bundle_brings_all_to_another_machine(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    written = store_with_imports.export(tmp_path / "all.bundle")
    there = WeightStore(store_with_imports.folder, tmp_path / "there")
    report = there.import_path(tmp_path / "all.bundle")
    assert report.imported == written
    assert {weight.name for weight in written} == {"genderage", "crossface_ghost"}
    assert there.weights() == store_with_imports.weights()
    assert {status.state for status in there.verify()} == {"ok"}
    # It is the same file whenever it is written.
    there.export(tmp_path / "again.bundle")
    assert (tmp_path / "again.bundle").read_bytes() == (tmp_path / "all.bundle").read_bytes()


def test_a_bundle_may_hold_what_is_named_alone(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    (weight,) = store_with_imports.export(tmp_path / "one.bundle", ["genderage"])
    assert weight.name == "genderage"
    with pytest.raises(WeightsMissing, match="det_10g of the pack insightface"):
        store_with_imports.export(tmp_path / "none.bundle", ["det_10g"])
    assert not (tmp_path / "none.bundle").exists()


def test_a_bundle_does_not_take_anothers_place_unasked(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    target = tmp_path / "all.bundle"
    target.write_text("mine")
    with pytest.raises(OutputExists, match="--overwrite"):
        store_with_imports.export(target)
    assert target.read_text() == "mine"
    store_with_imports.export(target, overwrite=True)
    assert zipfile.is_zipfile(target)
    with pytest.raises(MediaError, match="cannot be written"):
        store_with_imports.export(target / "inside.bundle")


def test_nothing_imported_is_nothing_to_export(store: WeightStore, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="nothing to export"):
        store.export(tmp_path / "all.bundle")


def test_a_flipped_byte_is_found_and_nothing_comes_in(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    """Anywhere in the file: it is refused, or what comes in is what was written all the same."""
    bundle = tmp_path / "all.bundle"
    store_with_imports.export(bundle)
    good = bundle.read_bytes()
    found = 0
    positions = range(0, len(good), 23)
    for position in positions:
        spoiled = bytearray(good)
        spoiled[position] ^= 0x10
        bundle.write_bytes(spoiled)
        there = WeightStore(store_with_imports.folder, tmp_path / f"there_{position}")
        try:
            there.import_path(bundle)
        except WeightsCorrupt:
            found += 1
            assert not (there.user_folder / RECORD).exists()
        else:
            for weight in there.weights()[2:]:
                assert (
                    there.path(weight.name).read_bytes()
                    == store_with_imports.path(weight.name).read_bytes()
                )
    assert found > 0.9 * len(positions)


def test_a_bundle_must_not_pass_one_network_for_another(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    bundle = tmp_path / "all.bundle"
    store_with_imports.export(bundle, ["genderage"])
    with zipfile.ZipFile(bundle) as packed:
        rows = json.loads(packed.read("bundle.json"))
        content = packed.read("genderage.onnx")
    rows[0]["file"] = "yunet_2023mar.onnx"
    with zipfile.ZipFile(bundle, "w") as packed:
        packed.writestr("bundle.json", json.dumps(rows))
        packed.writestr("yunet_2023mar.onnx", content)
    there = WeightStore(store_with_imports.folder, tmp_path / "there")
    with pytest.raises(WeightsCorrupt, match=r"genderage as yunet_2023mar\.onnx"):
        there.import_path(bundle)
    assert not there.user_folder.exists()


def rewritten(bundle: Path, **changes: object) -> None:
    """The bundle again with other facts in its first row, and the file under the row's name."""
    with zipfile.ZipFile(bundle) as packed:
        rows = json.loads(packed.read("bundle.json"))
        content = packed.read(rows[0]["file"])
    rows[0].update(changes)
    with zipfile.ZipFile(bundle, "w") as packed:
        packed.writestr("bundle.json", json.dumps(rows))
        packed.writestr(rows[0]["file"], content)


@pytest.mark.parametrize("file", ["genderage.onnx", RECORD])
def test_an_embedded_network_in_a_bundle_takes_no_others_place(
    store_with_imports: WeightStore, tmp_path: Path, file: str
) -> None:
    bundle = tmp_path / "own.bundle"
    store_with_imports.export(bundle, ["yunet"])
    rewritten(bundle, name="sneaky", file=file)
    before = (store_with_imports.user_folder / file).read_bytes()
    assert store_with_imports.import_path(bundle).imported == (store_with_imports.weight("yunet"),)
    assert (store_with_imports.user_folder / file).read_bytes() == before
    # Where it is of use, it comes in by its own name.
    (store_with_imports.folder / "yunet_2023mar.onnx").unlink()
    store_with_imports.import_path(bundle)
    assert {status.state for status in store_with_imports.verify()} == {"ok"}
    assert not store_with_imports.import_record_error()


def test_a_bundle_tells_the_size_of_its_files(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    bundle = tmp_path / "all.bundle"
    (weight,) = store_with_imports.export(bundle, ["genderage"])
    rewritten(bundle, size=weight.size + 1)
    with pytest.raises(WeightsCorrupt, match=rf"genderage\.onnx in .* has {weight.size} bytes"):
        store_with_imports.import_path(bundle)


def test_a_name_given_twice_is_exported_once(
    store_with_imports: WeightStore, tmp_path: Path
) -> None:
    assert len(store_with_imports.export(tmp_path / "one.bundle", ["genderage", "genderage"])) == 1


@pytest.mark.parametrize("failing", [RECORD, "genderage.onnx"])
def test_what_was_here_stays_where_an_import_cannot_be_written(
    store_with_imports: WeightStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    other = WeightStore(store_with_imports.folder, tmp_path / "other")
    other.import_path(CONVERTER.save(tmp_path / "crossface_ghost.onnx", value=1.0))
    other.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=1.0))
    bundle = tmp_path / "all.bundle"
    other.export(bundle)
    temporary_file = atomic_files.temporary_file

    def refused(target: Path) -> AbstractContextManager[Path]:
        if target.name == failing:
            raise WeightsError("The disk is full.")
        return temporary_file(target)

    before = {path: path.read_bytes() for path in store_with_imports.user_folder.iterdir()}
    with monkeypatch.context() as patch:
        patch.setattr(weight_store, "temporary_file", refused)
        with pytest.raises(WeightsError, match="disk is full"):
            store_with_imports.import_path(bundle)
    assert {path: path.read_bytes() for path in store_with_imports.user_folder.iterdir()} == before
    assert store_with_imports.import_path(bundle).replaced == {"genderage", "crossface_ghost"}


@pytest.mark.parametrize("content", ["[", "[" * 100_000], ids=["cut", "deep"])
def test_a_broken_record_is_mended_where_no_network_is(store: WeightStore, content: str) -> None:
    store.user_folder.mkdir()
    (store.user_folder / RECORD).write_text(content)
    assert "is damaged" in store.import_record_error()
    assert store.import_path(store.user_folder).imported == ()
    assert not store.import_record_error()


def test_a_broken_record_does_not_hide_what_is_replaced(store: WeightStore, tmp_path: Path) -> None:
    store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=1.0))
    (store.user_folder / RECORD).write_text("[")
    report = store.import_path(GENDER_AGE.save(tmp_path / "genderage.onnx", value=2.0))
    assert report.replaced == {"genderage"}


def test_what_only_looks_like_a_network_is_passed_over(store: WeightStore, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    (folder / "folder.onnx").mkdir(parents=True)
    GENDER_AGE.save(folder / "genderage.onnx")
    (folder / "._genderage.onnx").write_bytes(b"\0\5\x16\7")
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"models/{file.name}")
    for source in (folder, packed):
        there = WeightStore(store.folder, tmp_path / "users" / source.name)
        report = there.import_path(source)
        assert [weight.name for weight in report.imported] == ["genderage"]
        assert report.broken == report.skipped == ()


def test_a_folder_of_unknown_and_broken_networks_is_told_file_by_file(
    store: WeightStore, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    Signature({"x": (1,)}, {"y": (7,)}).save(folder / "strange.onnx")
    report = store.import_path(folder)
    assert (report.imported, len(report.skipped), report.broken) == ((), 1, ())
    (folder / "text.onnx").write_text("no network")
    report = store.import_path(folder)
    assert (report.imported, len(report.skipped), len(report.broken)) == ((), 1, 1)


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2, zipfile.ZIP_DEFLATED])
def test_a_spoiled_zip_is_told_however_it_was_packed(
    store: WeightStore, tmp_path: Path, packing: int
) -> None:
    whole = INSWAPPER.save(tmp_path / "inswapper_128.onnx")
    packed = tmp_path / "models.zip"
    with zipfile.ZipFile(packed, "w", packing) as archive:
        archive.write(whole, whole.name)
    content = bytearray(packed.read_bytes())
    for position in range(80, 200):
        content[position] ^= 0xFF
    packed.write_bytes(content)
    (sentence,) = store.import_path(packed).broken
    assert sentence.startswith("inswapper_128.onnx cannot be read from")


def test_what_was_prepared_in_the_cache_is_found_when_the_folder_opens(
    store: WeightStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    weight = store.weight("yunet")
    beside, cache = store.prepared_folders(weight)
    monkeypatch.setattr(weight_store, "is_writable", lambda _: False)
    assert store.prepared_folders(weight) == (cache, beside)


def test_of_two_files_of_one_network_the_one_that_is_here_is_taken(
    store: WeightStore, tmp_path: Path
) -> None:
    for number in range(2):
        (tmp_path / "models" / str(number)).mkdir(parents=True)
        path = tmp_path / "models" / str(number) / "genderage.onnx"
        GENDER_AGE.save(path, value=float(number))
    store.import_path(path)
    weight = store.weight("genderage")
    made = store.prepared_folders(weight)[0] / "v1"
    made.mkdir(parents=True)
    (made / CALIBRATION).write_text("{}")
    for _ in range(2):
        report = store.import_path(tmp_path / "models")
        assert [one.sha256 for one in report.imported] == [weight.sha256]
        assert report.present == {"genderage"}
        assert ["another genderage" in one for one in report.skipped] == [True]
    assert (made / CALIBRATION).is_file()
