from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.errors import WeightsCorrupt, WeightsMissing
from engine.weights.manifest import (
    MANIFEST,
    PACKS,
    InputSpec,
    TensorPattern,
    read_manifest,
    read_packs,
)
from engine.weights.weight_store import embedded_folder

ROOT = Path(__file__).resolve().parents[2]
ROW = f"""
[[weight]]
name = "net"
role = "detector"
file = "net.onnx"
sha256 = "{"0" * 64}"
size = 10
licence = "MIT"
licence_file = "licences/net.txt"
source = "net==1"
source_sha256 = "{"1" * 64}"
source_path = "net/net.onnx"
output = ["a", "b"]
[weight.input]
name = "x"
layout = "NCHW"
size = 0
multiple = 32
colour = "BGR"
mean = [1, 2.5, 3]
std = [1, 1, 2]
template = ""
"""
LINES = ROW.splitlines()
FIELDS = [number for number, line in enumerate(LINES) if " = " in line]


def manifest(folder: Path, text: str) -> Path:
    path = folder / MANIFEST
    path.write_text(text, "utf-8")
    return path


def test_a_row_becomes_a_weight(tmp_path: Path) -> None:
    (weight,) = read_manifest(manifest(tmp_path, ROW))
    assert (weight.name, weight.role, weight.pack, weight.size) == (
        "net",
        "detector",
        "embedded",
        10,
    )
    assert weight.output == ("a", "b")
    assert weight.input == InputSpec("x", "NCHW", 0, 32, "BGR", (1, 2.5, 3), (1, 1, 2), "")


@pytest.mark.parametrize("number", FIELDS)
def test_a_missing_field_is_named(tmp_path: Path, number: int) -> None:
    text = "\n".join([*LINES[:number], *LINES[number + 1 :]])
    key = LINES[number].partition(" = ")[0]
    with pytest.raises(WeightsCorrupt, match=f"weight 1.* lacks the field '{key}'"):
        read_manifest(manifest(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("size = 10", "size = 0", "weight 1, size must be greater than or equal to 1, but is 0"),
        ("size = 10", "size = true", "size must be a valid integer, but is True"),
        ("size = 10", 'size = "10"', "size must be a valid integer, but is '10'"),
        ("size = 10", "size = 10.0", "size must be a valid integer, but is 10.0"),
        ('"detector"', '"detektor"', "role must be 'detector', .* or 'parser', but is 'detektor'"),
        ('"MIT"', "3", "licence must be a valid string, but is 3"),
        ('["a", "b"]', "[1]", "output 1 must be a valid string, but is 1"),
        ('["a", "b"]', '"a"', "output must be a list, but is 'a'"),
        ('"NCHW"', '"CHW"', "input, layout must be 'NCHW', 'NHWC' or 'NC', but is 'CHW'"),
        ('"NCHW"', '"NC"', "input must have a size above 0 with the layout 'NC'"),
        ("[1, 1, 2]", "[1, 0, 2]", "input, std 2 must be greater than 0, but is 0"),
        ("[1, 1, 2]", "[1, nan, 2]", "input, std 2 must be .*, but is nan"),
        ("[1, 1, 2]", "[1, true, 2]", "input, std 2 must be a valid number, but is True"),
        ("[1, 1, 2]", "[1, 2]", r"std must have at least 3 numbers, but is \[1, 2\]"),
        ("[1, 1, 2]", "[1, 2, 3, 4]", "std must have at most 3 items"),
        ("0" * 64, "0" * 63, "sha256 must be 64 lower-case hexadecimal digits, but is '0"),
        ('"net.onnx"', '"../net.onnx"', "file must be a file name without a folder, but is"),
        (
            "multiple = 32",
            "multiple = 32\nsise = 3",
            "weight 1, input has the unknown field 'sise'",
        ),
        ("size = 10", "size = 10\nsice = 3", "weight 1 has the unknown field 'sice'"),
        ("size = 10", 'size = 10\npack = "x"', "weight 1 must not have the field 'pack'"),
        ("size = 10", "size = 10\ncalibration = [[0, 1]]", "calibration must be a list of pairs"),
        ("[[weight]]", "x = 1\n[[weight]]", "the file has the unknown field 'x'"),
        ("[[weight]]", "[weight]", "weight must be a list"),
        ("[[weight]]", "[[weight", "not valid TOML"),
    ],
)
def test_a_wrong_field_is_named_with_its_value(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    path = manifest(tmp_path, ROW.replace(old, new, 1))
    with pytest.raises(WeightsCorrupt, match=told) as raised:
        read_manifest(path)
    assert str(raised.value).startswith(str(path))
    assert str(raised.value).endswith("; correct it, or reinstall faceswap-engine.")


NETWORK = """
[[network]]
name = "net"
pack = "pack"
role = "swapper"
licence = "MIT"
stems = ["net"]
inputs = [{ name = "", shape = [3, 0, 0] }]
outputs = [{ name = "", shape = [512] }]
input = { name = "x", layout = "NC", size = 512 }
output_range = [0, 1]
source = { kind = "latent" }
"""


def packs(folder: Path, text: str) -> Path:
    path = folder / PACKS
    path.write_text(text, "utf-8")
    return path


def test_a_vector_needs_no_facts_about_pictures(tmp_path: Path) -> None:
    (network,) = read_packs(packs(tmp_path, NETWORK))
    assert (network.input.layout, network.input.size) == ("NC", 512)
    assert network.inputs == (TensorPattern("", (3, 0, 0)),)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("output_range = [0, 1]\n", "", "network 1 must have the fields source and output_range"),
        (
            'source = { kind = "latent" }\n',
            "",
            "network 1 must have the fields source and output_range",
        ),
        ('"latent"', '"converted", unit = true', "network 1, source must have a converter"),
        (
            '"latent"',
            '"converted", converter = "x"',
            "network 1, source lacks the field 'unit'",
        ),
        ('"latent"', '"portrait"', "network 1, source must have a converter"),
        ('"latent"', '"latent", converter = "x"', "network 1, source must have a converter"),
        ('"latent"', '"latent", unit = true', "network 1, source must have a converter"),
        ('"latent"', '"latnt"', "network 1, source, kind must be 'latent', .* but is 'latnt'"),
        ("size = 512", "size = 0", "network 1, input must have a size above 0"),
        ("size = 512", "size = 512, multiple = 2", "input must not have multiple with .* 'NC'"),
        ("[3, 0, 0]", "[3, -1, 0]", "network 1, inputs 1, shape 2 must be greater than or equal"),
        ("[0, 1]", "[0]", "network 1, output_range must have at least 2 numbers"),
    ],
)
def test_a_wrong_row_of_a_pack_is_named_with_its_value(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    text = NETWORK.replace(old, new, 1)
    assert text != NETWORK
    with pytest.raises(WeightsCorrupt, match=told):
        read_packs(packs(tmp_path, text))


def test_names_are_distinct(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="two rows of the name 'net'"):
        read_manifest(manifest(tmp_path, ROW + ROW))


def test_a_missing_manifest_is_told(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"manifest\.toml"):
        read_manifest(tmp_path / MANIFEST)


def test_every_embedded_row_names_its_licence_text() -> None:
    folder = embedded_folder()
    for weight in read_manifest(folder / MANIFEST):
        assert (folder / weight.licence_file).read_text("utf-8").strip()


def test_every_embedded_row_tells_where_its_bytes_come_from() -> None:
    for weight in read_manifest(embedded_folder() / MANIFEST):
        if "==" in weight.source:
            assert len(weight.source_sha256) == 64
            assert weight.source_path
        else:  # trained here
            assert (ROOT / weight.source).is_file()
            assert (weight.source_sha256, weight.source_path) == ("", "")


def test_packs_tell_networks_of_one_shape_apart_by_file_name() -> None:
    networks = read_packs(embedded_folder() / PACKS)
    stems = [stem for network in networks for stem in network.stems]
    assert len(stems) == len(set(stems))
    assert all(stem == stem.lower() for stem in stems)


def test_packs_are_complete_in_themselves() -> None:
    networks = {network.name: network for network in read_packs(embedded_folder() / PACKS)}
    digests = [digest for network in networks.values() for digest in network.sha256]
    assert len(digests) == len(set(digests))
    for network in networks.values():
        assert set(network.needs) <= networks.keys()
        assert (network.role in ("swapper", "restorer")) == (network.output_range is not None)
        if network.source is None:
            continue
        assert network.role == "swapper"
        assert (network.source.kind == "portrait") == (network.source.input is not None)
        assert ("w600k_r50" in network.needs) == (network.source.kind != "portrait")
        if network.source.kind == "converted":
            assert networks[network.source.converter].role == "converter"
            assert network.source.converter in network.needs


@pytest.mark.parametrize(
    ("name", "template", "side", "output_range"),
    [
        ("inswapper_128", "arcface_128", 128, (0, 1)),
        ("hyperswap_1b_256", "arcface_128", 256, (-1, 1)),
        ("ghost_2_256", "arcface_112_v1", 256, (-1, 1)),
        ("simswap_unofficial_512", "arcface_112_v1", 512, (0, 1)),
        ("hififace_unofficial_256", "mtcnn_512", 256, (-1, 1)),
        ("blendswap_256", "ffhq_512", 256, (0, 1)),
        ("uniface_256", "ffhq_512", 256, (-1, 1)),
        ("gpen_bfr_256", "arcface_128", 256, (-1, 1)),
        ("codeformer", "ffhq_512", 512, (-1, 1)),
    ],
)
def test_a_row_says_how_a_face_goes_in_and_comes_out(
    name: str, template: str, side: int, output_range: tuple[float, float]
) -> None:
    (network,) = (one for one in read_packs(embedded_folder() / PACKS) if one.name == name)
    assert (network.input.template, network.input.size, network.output_range) == (
        template,
        side,
        output_range,
    )


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("colour", ["RGB", "BGR"])
def test_tensor_is_layout_order_and_normalisation(layout: str, colour: str) -> None:
    spec = InputSpec("x", layout, 4, 1, colour, (10, 20, 30), (2, 4, 8), "")  # type: ignore[arg-type]
    pictures = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3), dtype=np.uint8)
    batch = spec.tensor(list(pictures))
    assert batch.dtype == np.float32
    assert batch.flags.c_contiguous
    channels = batch.transpose(0, 2, 3, 1) if layout == "NCHW" else batch
    restored = channels * (2, 4, 8) + (10, 20, 30)
    np.testing.assert_allclose(restored[..., ::-1] if colour == "BGR" else restored, pictures)
    crops = list(pictures / np.float32(255))
    np.testing.assert_allclose(spec.tensor_of_crops(crops), batch, rtol=1e-5, atol=1e-5)
