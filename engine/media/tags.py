"""Select the tags of a container and its streams that go to the output; find those of places.

Chapters count among them by their titles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from av.container import InputContainer
from av.stream import Disposition, Stream

from engine.options import MetadataMode

# Tags that describe the old file itself; the muxer writes its own.
_OWN = frozenset(
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
# Tags that say what a stream is for, and under which name an attached font is found.
_NEEDED = frozenset({"filename", "language", "mimetype"})
_PLACE = re.compile(r"location|gps|latitude|longitude|\xa9?xyz", re.IGNORECASE)


def kept_tags(metadata: Mapping[str, str], mode: MetadataMode) -> dict[str, str]:
    """The tags of a container or stream that its output takes over."""
    if mode == "none":
        return {key: value for key, value in metadata.items() if key.lower() in _NEEDED}
    return {key: value for key, value in metadata.items() if key.lower() not in _OWN}


def kept_chapters(chapters: list[Any], mode: MetadataMode) -> list[Any]:
    """The chapters, without their titles where no metadata is to be kept."""
    if mode == "keep":
        return chapters
    return [{**chapter, "metadata": {}} for chapter in chapters]


def is_metadata(stream: Stream) -> bool:
    """Whether a stream is itself metadata: telemetry, time codes, or a cover."""
    return stream.type == "data" or bool(stream.disposition & Disposition.attached_pic)


def location_warnings(target: InputContainer, copied: Mapping[int, Stream]) -> Iterator[str]:
    """A warning for places that go from the target to the output: in tags, or in telemetry.

    `copied` are the output's streams by the target's stream index.
    """
    tags = {*target.metadata}.union(*(stream.metadata for stream in target.streams))
    places = sorted({tag for tag in tags if _PLACE.search(tag)})
    if places:
        yield (
            f"The target's metadata say where it was recorded ({', '.join(places)}), and the "
            "output takes them over; metadata none leaves them out."
        )
    for stream in target.streams:
        if stream.type == "data" and stream.index in copied and "timecode" not in stream.metadata:
            yield (
                f"The data stream {stream.index} is copied and may say where the target was "
                "recorded; metadata none leaves it out."
            )
