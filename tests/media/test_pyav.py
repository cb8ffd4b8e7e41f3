"""What is the same with every supported version of PyAV."""

from __future__ import annotations

from pathlib import Path

from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.pyav import open_input, open_output, printable
from tests.synth import make_clip


def test_texts_that_are_no_utf8_go_from_file_to_file(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=2)
    target, output = tmp_path / "target.mkv", tmp_path / "output.mkv"
    with open_input(clip) as source, open_output(target, "matroska") as made:
        stream = made.add_stream_from_template(source.streams.video[0])
        made.metadata["title"] = b"caf\xe9".decode("utf-8", "surrogateescape")
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                made.mux(packet)
    write_video(read_frames(target), output, like=target)
    with open_input(output) as written:
        title = written.metadata["title"]
    assert title.encode("utf-8", "surrogateescape") == b"caf\xe9"
    assert printable(title) == "caf?"
