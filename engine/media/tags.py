"""Select the target's tags and chapters for the output, and find tags with a location."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from av.container import InputContainer
from av.stream import Disposition, Stream

from engine.options import MetadataMode

# Tags that describe the target file itself; the muxer writes its own.
_FILE_TAGS = frozenset(
    {
        "alpha_mode",
        "bps",
        "compatible_brands",
        "duration",
        "encoder",
        "major_brand",
        "minor_version",
        "number_of_bytes",
        "number_of_frames",
    }
)
# Tags that players need: the language of a stream, the file name and type of an attached font.
_NEEDED = frozenset({"filename", "language", "mimetype"})
_PLACE = re.compile(r"location|gps|latitude|longitude|\xa9?xyz", re.IGNORECASE)


def select_tags(metadata: Mapping[str, str], mode: MetadataMode) -> dict[str, str]:
    """Return the tags of a container or stream that go to the output."""
    if mode == "none":
        return {key: value for key, value in metadata.items() if key.lower() in _NEEDED}
    return {key: value for key, value in metadata.items() if key.lower() not in _FILE_TAGS}


def select_chapters(chapters: list[Any], mode: MetadataMode) -> list[Any]:
    """Return the chapters, without titles if no metadata is kept."""
    if mode == "keep":
        return chapters
    return [{**chapter, "metadata": {}} for chapter in chapters]


def is_metadata(stream: Stream) -> bool:
    """Return True for a stream that is metadata: telemetry, a time code or a cover."""
    return stream.type == "data" or bool(stream.disposition & Disposition.attached_pic)


def location_warnings(target: InputContainer, copies: Mapping[int, Stream]) -> Iterator[str]:
    """Yield warnings if the output takes over a location, in tags or in telemetry.

    `copies` are the output's streams by the target's stream index.
    """
    tags = {*target.metadata}.union(*(stream.metadata for stream in target.streams))
    places = sorted({tag for tag in tags if _PLACE.search(tag)})
    if places:
        yield (
            f"The target's metadata says where it was recorded ({', '.join(places)}), and the "
            "output keeps it; metadata none leaves it out."
        )
    for stream in target.streams:
        if stream.type == "data" and stream.index in copies and "timecode" not in stream.metadata:
            yield (
                f"The data stream {stream.index} is copied and may say where the target was "
                "recorded; metadata none leaves it out."
            )
