"""Side data: a colour profile's name must not crash, and nothing may hold on to every picture."""

from __future__ import annotations

import gc
import struct
import subprocess
import sys
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from engine.media.decode import read_frames
from engine.media.probe import probe
from engine.media.pyav import open_output
from tests.synth import make_clip

EXIF = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHxxI", 0x0112, 3, 1, 6, 0)

# Reads, writes and reads again in a process of its own, as what it looks for would kill this one.
READ_ALL = """
import gc, sys
from pathlib import Path
from engine.bounds import MediaBounds
from engine.media.decode import read_frame, read_frames, read_image
from engine.media.encode import write_video
from engine.media.untrusted import check_header, check_pictures
from engine.media.probe import describe, is_image
from engine.media.still import write_image

bounds = MediaBounds(pixels=1 << 20, seconds=10)
for name in sys.argv[1:]:
    path = Path(name)
    output = path.with_name(f"output-{path.name}")
    if is_image(path):
        write_image(read_image(path), output, like=path, overwrite=True)
    else:
        write_video(read_frames(path), output, like=path, overwrite=True)
    for _ in range(3):
        for file in (path, output):
            assert describe(file).info.size in ((64, 48), (48, 64))
            assert list(read_frames(file))
            read_frame(file, 1)
            if file.suffix == ".png":
                check_header(file, "it", bounds)
                check_pictures(file, "it", bounds)
        gc.collect()
print("read all")
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(*chunks: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", 64, 48, 8, 2, 0, 0, 0)
    lines = b"".join(b"\0" + bytes((n, 128, 64)) * 64 for n in range(48))
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(lines)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def test_colour_profiles_and_exif_do_not_crash(tmp_path: Path) -> None:
    profile = chunk(b"iCCP", b"a name\0\0" + zlib.compress(bytes(400)))
    exif = chunk(b"eXIf", EXIF)
    pictures = {"icc": png(profile), "exif": png(exif), "both": png(profile, exif)}
    files = []
    for name, data in pictures.items():
        files.append(tmp_path / f"{name}.png")
        files[-1].write_bytes(data)
    files.append(tmp_path / "film.mov")
    with open_output(files[-1], "mov") as film:
        stream = film.add_stream("png", rate=10, width=64, height=48, pix_fmt="rgb24")
        for n in range(4):
            packet = Packet(pictures["both"])
            packet.pts = packet.dts = n
            packet.time_base, packet.stream = Fraction(1, 10), stream
            packet.is_keyframe = True
            film.mux(packet)
    command = [sys.executable, "-X", "faulthandler", "-c", READ_ALL, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "read all\n"), done.stderr


def test_memory_does_not_grow_with_the_length(tmp_path: Path) -> None:
    target = make_clip(
        tmp_path / "target.mp4",
        codec="mpeg4",
        size=(32, 32),
        frames=2000,
        rotation=90,
        paint=lambda n, _: np.full((32, 32, 3), n % 256, np.uint8),
    )
    tracked = {}
    gc.collect()
    gc.disable()
    try:
        for frame in read_frames(target):
            if frame.index in (300, 1900):
                tracked[frame.index] = (len(gc.get_objects()), resident())
    finally:
        gc.enable()
    assert tracked[1900][0] - tracked[300][0] < 50
    assert tracked[1900][1] - tracked[300][1] < 4 << 20


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.parametrize(("turn", "mirrored"), [(90, False), (180, False), (90, True)])
def test_films_of_pictures_keep_their_rotation(tmp_path: Path, turn: int, mirrored: bool) -> None:
    target = make_clip(
        tmp_path / "target.mov", codec="png", pix_fmt="rgb24", rotation=turn, mirrored=mirrored
    )
    frame = next(read_frames(target))
    assert frame.orientation == probe(target).orientation
    assert frame.orientation.quarter_turns % 2 == turn // 90 % 2
    if not mirrored:
        assert frame.orientation.quarter_turns == turn // 90
    elif int(av.__version__.split(".")[0]) >= 19:
        assert frame.orientation.mirrored
