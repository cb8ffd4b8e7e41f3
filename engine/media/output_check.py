"""Check an output once it is written, by opening it again."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import MediaError
from engine.media.probe import first_picture, main_video, open_media, without_picture

_COUNTING = frozenset({"mov", "mp4"})  # muxers that write how many frames there are
# A null packet (ISO/IEC 13818-1, 2.4.3.2).
_EMPTY_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
_FEWEST_PACKETS = 64
_SHORT = 25  # frames


def check_written(
    aside: Path, output: Path, *, container: str, frames: int, size: tuple[int, int], sounds: int
) -> None:
    """Opens what was written for `output` and decodes its first picture.

    Raises:
        MediaError: it cannot be read, or does not hold what was written to it.
    """
    try:
        with open_media(aside) as written:
            if not written.streams.video:
                raise without_picture(aside)
            # It was written before all copies; a reader may prefer one of these.
            stream = written.streams.video[0]
            picture = first_picture(written, stream, aside)
            found = picture.width, picture.height
            counted = stream.frames if container in _COUNTING else frames
            heard = len(written.streams.audio)
    except MediaError as error:
        said = str(error).replace(str(aside), "it").rstrip(".")
        raise _unreadable(output, said) from error
    if found != size:
        raise _unreadable(output, f"its first picture is {found[0]}x{found[1]}")
    if counted != frames:
        raise _unreadable(output, f"it holds {counted} of {frames} frames")
    # Readers find no sound in the few packets of a short transport stream.
    if heard < sounds and not (container == "mpegts" and frames < _SHORT):
        raise _unreadable(output, f"it holds {heard} of {sounds} tracks of sound")


def check_picture(aside: Path, output: Path, size: tuple[int, int]) -> None:
    """Decodes the picture that was written for `output`.

    Raises:
        MediaError: it cannot be read, or has another size.
    """
    try:
        with open_media(aside) as written:
            picture = first_picture(written, main_video(written, aside), aside)
    except MediaError as error:
        raise _unreadable(output, str(error).replace(str(aside), "it").rstrip(".")) from error
    if (picture.width, picture.height) != size:
        raise _unreadable(output, f"it is {picture.width}x{picture.height}")


def _unreadable(output: Path, why: str) -> MediaError:
    return MediaError(
        f"{output} could not be written so that it can be read again: {why}. Choose another "
        "format: .mkv or .mp4 for a video, .png for a picture."
    )


def stuff_transport(aside: Path) -> None:
    """Adds empty packets to a short MPEG-TS file: no reader knows one by a few packets alone."""
    with aside.open("r+b") as file:
        # Every packet of 188 bytes begins with its sync byte; .m2ts puts a time of four before it.
        prefix = b"" if file.read(1) == _EMPTY_PACKET[:1] else bytes(4)
        packet = prefix + _EMPTY_PACKET
        missing = _FEWEST_PACKETS - os.fstat(file.fileno()).st_size // len(packet)
        file.seek(0, os.SEEK_END)
        file.write(packet * max(0, missing))
