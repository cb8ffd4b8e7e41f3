"""The rows of a batch: outputs' names, lists, and what is refused before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.errors import MediaError, ParameterError
from engine.pipeline.batch import BatchRow, check_rows, read_rows, rows_of_targets
from tests.footage import STRANGER, asset, picture, write_png
from tests.synth import make_clip

SOURCE = Path("anna.jpg")


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def outputs(rows: list[BatchRow], folder: Path) -> list[str]:
    return [row.output.relative_to(folder).as_posix() for row in rows]


def test_the_files_of_a_folder_keep_their_names_and_places(tmp_path: Path) -> None:
    album, out = tmp_path / "album", tmp_path / "album" / "out"
    touch(*(album / name for name in ("b.jpg", "A.MP4", "sub/b.jpg", "notes.txt", ".hidden.jpg")))
    touch(album / ".cache" / "c.jpg", out / "b.jpg")
    rows = rows_of_targets(SOURCE, [album], out, {"crf": 20})
    assert outputs(rows, out) == ["A.MP4", "b.jpg", "sub/b.jpg"]
    assert all(row.parameters == {"crf": 20} and row.source == SOURCE for row in rows)


def test_several_folders_do_not_mix(tmp_path: Path) -> None:
    one, two, alone = tmp_path / "one", tmp_path / "two", tmp_path / "c.jpg"
    touch(one / "a.jpg", two / "a.jpg", alone)
    rows = rows_of_targets(SOURCE, [one, two, alone], tmp_path / "out", {})
    assert outputs(rows, tmp_path / "out") == ["one/a.jpg", "two/a.jpg", "c.jpg"]
    check_rows(rows)


def test_an_output_gets_a_suffix_that_fits_its_kind(tmp_path: Path) -> None:
    still = write_png(tmp_path / "still.bmp", picture(()))
    moving = make_clip(tmp_path / "clip.gif", codec="gif", pix_fmt="rgb8", size=(64, 48), frames=3)
    touch(tmp_path / "broken.xyz")
    rows = rows_of_targets(
        SOURCE, [still, moving, asset(STRANGER), tmp_path / "broken.xyz"], tmp_path / "out", {}
    )
    assert outputs(rows, tmp_path / "out") == [
        "still.bmp.png",
        "clip.gif.mp4",
        "studio_portrait.jpg",
        "broken.xyz",
    ]


def test_outputs_of_one_name_are_refused(tmp_path: Path) -> None:
    one, two = tmp_path / "one" / "a.jpg", tmp_path / "two" / "a.jpg"
    touch(one, two)
    with pytest.raises(ParameterError, match=f"{one} and {two} have the same output .*a.jpg"):
        check_rows(rows_of_targets(SOURCE, [one, two], tmp_path / "out", {}))


@pytest.mark.parametrize("what", ["target", "source", "reference_image"])
def test_no_row_writes_what_another_reads(tmp_path: Path, what: str) -> None:
    files = {name: tmp_path / f"{name}.jpg" for name in ("source", "target", "reference_image")}
    touch(*files.values())
    link = tmp_path / "link.jpg"
    link.hardlink_to(files[what])
    reader = BatchRow(
        files["source"],
        files["target"],
        tmp_path / "one.jpg",
        {"reference_image": (str(files["reference_image"]),)},
    )
    for output in (files[what], link):
        writer = BatchRow(tmp_path / "x.jpg", tmp_path / "y.jpg", output, {})
        with pytest.raises(ParameterError, match=f"output is {output}, .* the {what} of"):
            check_rows([reader, writer])


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="holds no picture and no video"):
        rows_of_targets(SOURCE, [tmp_path], tmp_path / "out", {})


def rows_of(path: Path, text: str, **given: Any) -> list[BatchRow]:
    path.write_text(text, encoding="utf-8")
    choice: dict[str, Any] = {"source": None, "folder": None, "parameters": {}, **given}
    return read_rows(path, **choice)


def test_a_csv_file_has_a_row_a_line(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path / "list.csv",
        "\ufeffsource,target,output,face_selector_mode,crf,keep_mouth,reference_image\n"
        "anna.jpg,one.jpg,out/one.png,many,,true,\n"
        '\n"ben, jr.jpg",/abs/film.mp4,film.mp4,,20.5,,ref.jpg\n',
        parameters={"crf": 30.0},
    )
    assert [row.where for row in rows] == [f"{tmp_path}/list.csv, line {n}" for n in (2, 4)]
    assert [row.source for row in rows] == [tmp_path / "anna.jpg", tmp_path / "ben, jr.jpg"]
    assert [row.target for row in rows] == [tmp_path / "one.jpg", Path("/abs/film.mp4")]
    assert [row.output for row in rows] == [tmp_path / "out/one.png", tmp_path / "film.mp4"]
    first, second = (row.parameters for row in rows)
    assert first == {"face_selector_mode": "many", "crf": 30.0, "keep_mouth": True}
    assert second == {"crf": 20.5, "reference_image": (f"{tmp_path}/ref.jpg",)}


def test_semicolons_part_cells_where_the_first_line_has_them(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "list.csv", "source;target;output\na.jpg;b, c.jpg;d.jpg\n")
    assert row.target == tmp_path / "b, c.jpg"


def test_what_stands_above_the_rows_of_a_toml_file_holds_for_all(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path / "list.toml",
        'source = "anna.jpg"\nany_source = true\nextra_source_image = ["two.jpg", "three.jpg"]\n'
        '[[swap]]\ntarget = "one.jpg"\n'
        '[[swap]]\nsource = "ben.jpg"\ntarget = "film.mp4"\noutput = "b.mkv"\ncrf = 20.0\n',
        folder=tmp_path / "out",
    )
    assert [row.where for row in rows] == [f"{tmp_path}/list.toml, swap {n}" for n in (1, 2)]
    assert [row.source.name for row in rows if isinstance(row.source, Path)] == [
        "anna.jpg",
        "ben.jpg",
    ]
    assert outputs(rows, tmp_path / "out") == ["one.jpg", "b.mkv"]
    extra = (f"{tmp_path}/two.jpg", f"{tmp_path}/three.jpg")
    assert rows[0].parameters == {"any_source": True, "extra_source_image": extra}
    assert rows[1].parameters == {**rows[0].parameters, "crf": 20.0}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        (
            "a.csv",
            "source,target,output,crf,mode\na,b,c.png,x,\n,b,c.txt,,many\n",
            r"a\.csv, line 2: crf is 'x'; allowed: a number.*\n.*line 3: mode is no parameter",
        ),
        ("b.csv", "target,output\nb,c.png\n", "line 2: source is missing; name it in the row"),
        ("c.csv", "source,output\na,c.png\n", "line 2: target is missing"),
        ("d.csv", "source,target\na,b\n", "line 2: output is missing; name it, or a folder"),
        ("e.csv", "source,target,output\na,b,c.txt\n", r"line 2: output is .*c\.txt; allowed"),
        ("f.csv", "source,target,output\na,b,c.png,d\n", "line 2: there are 4 cells and 3 names"),
        ("g.csv", "source,source\na,b\n", "the first line names source twice"),
        ("h.csv", "source,target,output\n", "has no rows"),
        ("i.csv", 'source,target\n"a,b\n', "line 2: unexpected end of data; correct the quotes"),
        ("a.toml", "crf = 99.0\n[[swap]]\ntarget='a'\n", r"a\.toml: crf is 99\.0; allowed"),
        ("b.toml", "[[swap]]\ncrf = '20'\n", "swap 1: crf is '20'; allowed: a number"),
        ("c.toml", "[[swap]]\nsource = 3\n", "swap 1: source is 3; allowed: the path"),
        ("d.toml", "[swap]\n", "swap is no list of tables"),
        ("e.toml", "source = \n", "is no valid TOML"),
        ("f.txt", "", "must end in .csv or .toml"),
    ],
)
def test_a_list_is_checked_as_a_whole(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        rows_of(tmp_path / name, text)
