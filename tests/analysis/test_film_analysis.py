"""An analysis is written as faces are found, and read back without its film."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.analysis import film_analysis
from engine.analysis.archive import read_columns
from engine.analysis.columns import round_face
from engine.analysis.film_analysis import (
    AnalysisKey,
    FilmAnalysis,
    file_sha256,
    read_analysis,
    write_analysis,
)
from engine.errors import MediaError
from engine.values import Analysed, Attributes, Face, Frame, PixelFormat
from tests.analysis.test_columns import face, same_face, unit

KEY = AnalysisKey(
    "ab" * 32,
    1,
    {
        "detector": {"yunet": "cd" * 32},
        "landmarker": {"face_mesh_478": "23", "face_mesh": "45"},
        "embedder": {"sface": "01" * 32},
    },
    {"detect_every": 5, "detect_rotated": False},
)
FORMAT = PixelFormat("gray", "gray", 8)
ANNA, BEN = unit(), unit()


def frame(index: int) -> Frame:
    return Frame(index, 40 * index, Fraction(1, 1000), (np.zeros((4, 6), np.uint8),), FORMAT)


def shots(count: int) -> Iterator[Analysed]:
    for index in range(count):
        faces: tuple[Face, ...] = (face(0, ANNA, Attributes(30, "female")),)
        if 5 <= index < 20:
            faces = (*faces, face(1, BEN))
        yield Analysed(frame(index), faces if index != 3 else (), cut=index in (0, 7))


def written(path: Path, count: int = 30) -> tuple[FilmAnalysis, list[Analysed]]:
    made = list(shots(count))
    return write_analysis(path, KEY, iter(made), (6, 4)), made


def test_the_faces_of_every_frame_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_analysis, "_CHUNK", 8)
    written_analysis, made = written(tmp_path / "film.faces")
    analysis = read_analysis(tmp_path / "film.faces")
    for one in (written_analysis, analysis):
        found = list(one.frames())
        assert [f.pts for f in found] == [40 * n for n in range(30)]
        assert [n for n, f in enumerate(found) if f.cut] == [0, 7]
        for shot, stored in zip(made, found, strict=True):
            assert len(shot.faces) == len(stored.faces)
            assert all(map(same_face, map(round_face, shot.faces), stored.faces))
    assert (analysis.key, analysis.size, analysis.time_base) == (KEY, (6, 4), Fraction(1, 1000))
    assert analysis.together == {(0, 1)}


def test_tracks_are_summed_up(tmp_path: Path) -> None:
    written(tmp_path / "film.faces", 90)
    anna, ben = read_analysis(tmp_path / "film.faces").tracks
    assert (anna.first, anna.last, anna.frames) == (0, 3560, 89)
    assert (ben.first, ben.last, ben.frames) == (200, 760, 15)
    assert np.array_equal(ben.embedding, BEN)  # type: ignore[arg-type]
    assert anna.attributes == Attributes(30, "female")
    assert len(anna.best) == 3
    assert min(abs(a.index - b.index) for a in anna.best for b in anna.best if a is not b) >= 12
    assert [one.weight for one in anna.best] == sorted((s.weight for s in anna.best), reverse=True)


def test_frames_get_their_faces_again_from_anywhere_in_the_film(tmp_path: Path) -> None:
    analysis, made = written(tmp_path / "film.faces")
    part = list(analysis.replay(shot.frame for shot in made[4:9]))
    assert [shot.frame for shot in part] == [shot.frame for shot in made[4:9]]
    assert [len(shot.faces) for shot in part] == [1, 2, 2, 2, 2]


def test_a_late_frame_is_found_without_reading_all_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_analysis, "_CHUNK", 3)
    analysis, made = written(tmp_path / "film.faces", 90)
    seen: list[str] = []

    def note(archive: zipfile.ZipFile, name: str, limit: int) -> Any:
        seen.append(name)
        return read_columns(archive, name, limit)

    monkeypatch.setattr(film_analysis, "read_columns", note)
    for index in (0, 2, 3, 44, 86, 89):
        seen.clear()
        (shot,) = analysis.replay([made[index].frame])
        assert shot.frame is made[index].frame
        assert len(shot.faces) == len(made[index].faces)
        assert len(seen) <= 8  # of 31


def test_a_frame_of_another_film_is_refused(tmp_path: Path) -> None:
    analysis, made = written(tmp_path / "film.faces")
    stranger = Frame(0, 41, Fraction(1, 1000), made[0].frame.planes, FORMAT)
    with pytest.raises(MediaError, match=r"has no frame at pts 41; analyse the film again"):
        list(analysis.replay([stranger]))


@pytest.mark.parametrize("cut", [0, 10, 1000])
def test_a_damaged_file_is_told(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "film.faces"
    written(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(MediaError, match=r"film\.faces is no analysis of a film, or is damaged"):
        read_analysis(path)


def rewritten(path: Path, name: str, data: bytes | None, method: int = zipfile.ZIP_STORED) -> None:
    """Replace a member of an archive, or remove it."""
    with zipfile.ZipFile(path) as archive:
        members = {one: archive.read(one) for one in archive.namelist()}
    del members[name]
    with zipfile.ZipFile(path, "w", method) as archive:
        for one, content in members.items():
            archive.writestr(one, content)
        if data is not None:
            archive.writestr(name, data)


HEADERS: list[Any] = [
    b"{",
    b"[" * 100_000,
    b"[]",
    b'{"version": "new"}',
    {"frame_count": 0},
    {"frame_count": 10**30},
    {"frame_count": 29},
    {"time_base": [1, 0]},
    {"size": [6]},
    {"start": 2**70},
    {"key": {}},
    {"tracks": [1]},
    {"tracks": [{"identity": 99}]},
    {"tracks": [{"identity": -1}]},
    {"tracks": [{"best": [{"index": 0, "pts": 0, "box": [0, 0, float("nan"), 1], "weight": 1}]}]},
    {"together": [[1]]},
]


def test_another_version_is_told(tmp_path: Path) -> None:
    path = tmp_path / "film.faces"
    written(path)
    rewritten(path, "analysis.json", b'{"version": 1}')
    with pytest.raises(MediaError, match=r"film\.faces is an analysis of version 1, and this"):
        read_analysis(path)


@pytest.mark.parametrize("change", HEADERS)
def test_a_false_header_is_told(tmp_path: Path, change: Any) -> None:
    path = tmp_path / "film.faces"
    written(path)
    if not isinstance(change, bytes):
        with zipfile.ZipFile(path) as archive:
            header = json.loads(archive.read("analysis.json"))
        if isinstance(change.get("tracks", [0])[0], dict):
            change = {"tracks": [{**header["tracks"][0], **change["tracks"][0]}]}
        change = json.dumps({**header, **change}).encode()
    rewritten(path, "analysis.json", change)
    with pytest.raises(MediaError, match=r"film\.faces is no analysis of a film, or is damaged"):
        list(read_analysis(path).frames())


COLUMNS: list[tuple[str, str, Any]] = [
    ("000000.npz", "pts", None),
    ("000000.npz", "more", np.zeros(3)),
    ("000000.npz", "faces", np.full(30, 2, np.int32)),
    ("000000.npz", "faces", np.full(30, -1, np.int32)),
    ("000000.npz", "identity", np.full(44, 7, np.int32)),
    ("000000.npz", "identity", np.full(44, -1, np.int32)),
    ("000000.npz", "score", np.full(44, np.nan, np.float32)),
    ("000000.npz", "scheme", np.full(44, 9, np.int8)),
    ("000000.npz", "scheme", np.full(44, 0, np.int8)),
    ("000000.npz", "coordinates", np.zeros((3, 1418, 44), np.uint8)),
    ("000000.npz", "coordinates", np.zeros((4, 3, 44), np.uint8)),
    ("000000.npz", "pts", np.zeros(30)),
    ("identities.npz", "embeddings", np.zeros((2, 128), np.float32)),
    ("identities.npz", "read", np.zeros((2, 1), np.bool_)),
    ("identities.npz", "read", np.zeros((1, 2), np.bool_)),
    ("identities.npz", "attributes", np.full((2, 3), 9, np.int16)),
    ("identities.npz", "attributes", np.full((2, 3), -2, np.int16)),
]


@pytest.mark.parametrize(("member", "column", "values"), COLUMNS)
def test_a_false_column_is_told(tmp_path: Path, member: str, column: str, values: Any) -> None:
    path = tmp_path / "film.faces"
    written(path)
    with zipfile.ZipFile(path) as archive, np.load(io.BytesIO(archive.read(member))) as arrays:
        columns = {**arrays, column: values}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: array for name, array in columns.items() if array is not None})
    rewritten(path, member, buffer.getvalue())
    with pytest.raises(MediaError, match=r"film\.faces is no analysis of a film, or is damaged"):
        list(read_analysis(path).frames())


@pytest.mark.parametrize("member", ["000000.npz", "identities.npz", "analysis.json"])
def test_a_member_too_few_or_too_large_is_told_without_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    path = tmp_path / "film.faces"
    written(path)
    rewritten(path, member, None)
    with pytest.raises(MediaError, match="or is damaged"):
        list(read_analysis(path).frames())
    path.unlink()
    written(path)
    monkeypatch.setattr(film_analysis, "_LIMIT", 2**20)
    monkeypatch.setattr(film_analysis, "_CHUNK_LIMIT", 2**20)
    bomb = bytes(2**26)
    if member != "analysis.json":
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("pts.npy", bomb)
        bomb = inner.getvalue()
    rewritten(path, member, bomb, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(MediaError, match="or is damaged"):
        list(read_analysis(path).frames())
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_an_array_that_claims_too_much_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "film.faces"
    written(path)
    array, inner = io.BytesIO(), io.BytesIO()
    claim = {"descr": "<i8", "fortran_order": False, "shape": (2**27,)}
    np.lib.format.write_array_header_1_0(array, claim)
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("pts.npy", array.getvalue())
    rewritten(path, "identities.npz", inner.getvalue())
    tracemalloc.start()
    with pytest.raises(MediaError, match="or is damaged"):
        read_analysis(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_crowded_frames_fill_more_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_analysis, "_CHUNK_FACES", 4)
    analysis, _ = written(tmp_path / "film.faces")
    assert len(list(analysis.frames())) == 30
    with zipfile.ZipFile(tmp_path / "film.faces") as archive:
        assert len(archive.namelist()) > 10


def test_a_zip_of_something_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "film.faces"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(MediaError, match="is no analysis"):
        read_analysis(path)
    with pytest.raises(MediaError, match="cannot be read"):
        read_analysis(tmp_path / "none")


def test_nothing_is_written_when_the_analysis_fails(tmp_path: Path) -> None:
    def broken() -> Iterator[Analysed]:
        yield from shots(3)
        raise MediaError("The film is damaged.")

    with pytest.raises(MediaError, match="damaged"):
        write_analysis(tmp_path / "film.faces", KEY, broken(), (6, 4))
    assert list(tmp_path.iterdir()) == []


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    written(tmp_path / "film.faces")
    assert (tmp_path / "film.faces").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (replace(KEY, target="ef" * 32), "it is of another film"),
        (replace(KEY, algorithm=2), "made by another version of the engine's analysis"),
        (replace(KEY, networks={"age": {"age": "00"}}), "it was made without a network for age"),
        (
            replace(KEY, networks={"detector": {"yunet": "00"}}),
            "its networks for detector are yunet, another file of the same name",
        ),
        (
            replace(KEY, networks={"landmarker": {"face_mesh": "45"}}),
            "its networks for landmarker are face_mesh_478 and face_mesh, not face_mesh",
        ),
        (
            replace(KEY, networks={"landmarker": {"2d106det": "6", **KEY.networks["landmarker"]}}),
            "face_mesh_478 and face_mesh, not 2d106det and face_mesh_478 and face_mesh",
        ),
        (replace(KEY, options={"detect_every": 2}), "made with detect_every 5, not 2"),
    ],
)
def test_an_analysis_tells_what_it_lacks_for_a_request(wanted: AnalysisKey, words: str) -> None:
    assert words in str(KEY.lack(wanted))


def test_an_analysis_may_hold_more_than_a_request_wants() -> None:
    assert KEY.lack(replace(KEY, networks={"detector": KEY.networks["detector"]})) is None
    assert KEY.lack(KEY) is None


def test_a_film_is_known_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one.mp4", tmp_path / "other.mp4"
    one.write_bytes(b"film")
    other.write_bytes(b"film")
    assert file_sha256(one) == file_sha256(other)
    other.write_bytes(b"Film")
    assert file_sha256(one) != file_sha256(other)
    with pytest.raises(MediaError, match="cannot be read"):
        file_sha256(tmp_path / "none")
