"""Properties of output containers that FFmpeg does not expose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal

# Sound and subtitle codecs with a name in MPEG-TS. The muxer accepts others, too, and writes them
# as private data that no reader recognises.
_MPEGTS_CODECS = frozenset(
    {
        "aac",
        "aac_latm",
        "ac3",
        "dts",
        "dvb_subtitle",
        "dvb_teletext",
        "eac3",
        "mp1",
        "mp2",
        "mp3",
        "opus",
        "s302m",
        "truehd",
    }
)


@dataclass(frozen=True, slots=True)
class Container:
    """An output container and the quirks of its muxer.

    Video codec names are FFmpeg's names of encoders or codecs, as `encoder_named` takes them.

    Attributes:
        name: FFmpeg's name of the muxer.
        muxer_options: options with which the muxer is opened.
        time_base: the only time base of the muxer in seconds, or None if it takes any.
        sets_timescale: the muxer doubles a small timescale unless an option sets it.
        stores_times: False if frames and sound have no timestamps: frames follow one another at a
            constant rate, and sound starts at zero without gaps.
        stores_negative_times: False if the muxer moves all streams when one starts before zero.
        display_matrix: "none", "rotations", or "all" if it stores mirrored pictures, too.
        hevc_tag: codec tag for HEVC, or None for the muxer's default.
        length_by_dts: the track's length is measured between decoding times.
        counts_frames: the file stores the number of frames of a track.
        writes_time_code: the muxer writes a time code track from the video's metadata.
        covers: cover art is stored as a "stream" or an "attachment", or is "lost".
        copied_codecs: codecs of sound and subtitles that readers recognise, or None if the muxer
            itself refuses the others.
        provenance_tag: metadata tag that holds the provenance; most containers keep a comment.
        needs_padding: readers recognise a file of a few packets only if null packets follow, and
            may not find its sound.
        sound_codec: encoder for sound that the container cannot hold.
        text_codec: encoder for text subtitles that it cannot hold, or None.
        video_codec: the usual video codec, for 8 bits.
        deep_video_codec: the usual video codec for more than 8 bits.
        alpha_encoder: encoder that keeps transparency, or None.
        editing_encoders: encoders of codecs for editing, by the codec of the target that keeps it.
        is_for_players: the usual readers are players, which show few pixel formats.
    """

    name: str
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    time_base: Fraction | None = None
    sets_timescale: bool = False
    stores_times: bool = True
    stores_negative_times: bool = True
    display_matrix: Literal["none", "rotations", "all"] = "none"
    hevc_tag: str | None = None
    length_by_dts: bool = False
    counts_frames: bool = False
    writes_time_code: bool = False
    covers: Literal["stream", "attachment", "lost"] = "stream"
    copied_codecs: frozenset[str] | None = None
    provenance_tag: str = "comment"
    needs_padding: bool = False
    sound_codec: str = "aac"
    text_codec: str | None = None
    video_codec: str = "h264"
    deep_video_codec: str = "hevc"
    alpha_encoder: str | None = None
    editing_encoders: Mapping[str, str] = field(default_factory=dict)
    is_for_players: bool = False


# Sound may begin before zero by the delay of its encoder. The muxer must not move the video for
# that. Matroska can store such times, and sound in AVI has none.
_MAY_START_BEFORE_ZERO = {"avoid_negative_ts": "disabled"}
_MP4_OPTIONS = {"movflags": "+faststart", "write_tmcd": "1"}  # tmcd: a track of time codes

_AVI = Container(
    "avi",
    muxer_options=_MAY_START_BEFORE_ZERO,
    stores_times=False,
    stores_negative_times=False,
    sound_codec="pcm_s16le",
    deep_video_codec="h264",
    alpha_encoder="ffv1",
)
_FLV = Container(
    "flv",
    time_base=Fraction(1, 1000),
    stores_negative_times=False,
    is_for_players=True,
)
_MATROSKA = Container(
    "matroska",
    muxer_options=_MAY_START_BEFORE_ZERO,
    time_base=Fraction(1, 1000),
    display_matrix="rotations",
    covers="attachment",
    sound_codec="flac",
    text_codec="subrip",
    alpha_encoder="ffv1",
    editing_encoders={"prores": "prores_ks"},
)
_WEBM = Container(
    "webm",
    muxer_options=_MAY_START_BEFORE_ZERO,
    time_base=Fraction(1, 1000),
    display_matrix="rotations",
    sound_codec="libopus",
    text_codec="webvtt",
    video_codec="vp9",
    deep_video_codec="vp9",
    alpha_encoder="libvpx-vp9",
    is_for_players=True,
)
_MP4 = Container(
    "mp4",
    muxer_options=_MP4_OPTIONS,
    sets_timescale=True,
    display_matrix="all",
    hevc_tag="hvc1",  # the only tag that Apple's players accept
    length_by_dts=True,
    counts_frames=True,
    writes_time_code=True,
    text_codec="mov_text",
    is_for_players=True,
)
_MOV = Container(
    "mov",
    muxer_options=_MP4_OPTIONS,
    sets_timescale=True,
    display_matrix="all",
    hevc_tag="hvc1",
    length_by_dts=True,
    counts_frames=True,
    writes_time_code=True,
    covers="lost",  # the muxer accepts a cover and does not write it
    text_codec="mov_text",
    alpha_encoder="prores_ks",
    editing_encoders={"dnxhd": "dnxhd", "prores": "prores_ks"},
    is_for_players=True,
)
_MPEGTS = Container(
    "mpegts",
    time_base=Fraction(1, 90_000),
    stores_negative_times=False,
    copied_codecs=_MPEGTS_CODECS,
    provenance_tag="service_provider",  # of the service description table; there are no others
    needs_padding=True,
    is_for_players=True,
)
_NUT = Container(
    "nut",
    stores_negative_times=False,
    sound_codec="flac",
    alpha_encoder="ffv1",
)

VIDEO_CONTAINERS: Mapping[str, Container] = {
    ".avi": _AVI,
    ".flv": _FLV,
    ".m2ts": _MPEGTS,
    ".m4v": _MP4,
    ".mkv": _MATROSKA,
    ".mov": _MOV,
    ".mp4": _MP4,
    ".mts": _MPEGTS,
    ".nut": _NUT,
    ".ts": _MPEGTS,
    ".webm": _WEBM,
}


def container_of(output: Path) -> Container:
    """Return the container of an output video with one of `VIDEO_CONTAINERS`' suffixes."""
    return VIDEO_CONTAINERS[output.suffix.lower()]
