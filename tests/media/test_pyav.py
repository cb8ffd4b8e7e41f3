"""Behaviour that is the same with every supported version of PyAV."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from engine.errors import MediaError
from engine.media.decode import read_frames
from engine.media.encode import write_video
from engine.media.probe import probe
from engine.media.pyav import USUAL_FORMATS, library_versions, open_input, open_output, printable
from tests.synth import make_clip


def test_versions_name_pyav_and_ffmpeg() -> None:
    assert {"PyAV", "libavcodec"} <= library_versions().keys()


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


@pytest.mark.parametrize("name", ["list.m3u8", "list.mp4", "list.mkv", "list"])
@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile clip.ts\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>\n',
        "# VobSub index file, v7\nsize: 64x48\nid: en, index: 0\n",
    ],
)
def test_a_file_that_names_others_is_opened_by_nobody(tmp_path: Path, text: str, name: str) -> None:
    make_clip(tmp_path / "clip.ts", frames=30)
    playlist = tmp_path / name
    playlist.write_text(text, encoding="utf-8")
    playlist.with_suffix(".sub").write_bytes(bytes(4096))
    with pytest.raises((av.FFmpegError, ValueError)):
        open_input(playlist)
    with pytest.raises(MediaError, match="not a video or an image"):
        probe(playlist)


def test_no_demuxer_that_opens_other_files_is_permitted() -> None:
    assert open_input.__kwdefaults__ is not None
    permitted = {*USUAL_FORMATS.split(","), *open_input.__kwdefaults__["formats"].split(",")}
    naming = {"concat", "dash", "hls", "imf", "mlv", "rtp", "rtsp", "sdp", "vobsub"}
    naming |= {"avisynth", "lavfi", "vapoursynth", "webm_dash_manifest"}
    assert not permitted & naming
