"""Check a partial output by reading it back before it gets its final name."""

from __future__ import annotations

import os
from pathlib import Path

from engine.errors import MediaError
from engine.media.containers import Container
from engine.media.probe import first_picture, main_video, no_picture_error, open_media

# A null packet of MPEG-TS (ISO/IEC 13818-1, 2.4.3.2).
_NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
_FEWEST_PACKETS = 64
_SHORT = 25  # frames


def check_video(
    partial: Path,
    output: Path,
    *,
    container: Container,
    frames: int,
    size: tuple[int, int],
    sounds: int,
) -> None:
    """Check the number of frames and audio streams of a video, and decode its first frame.

    Args:
        partial: the partial output to read.
        output: its final name, for errors.
        container: the container of `output`.
        frames: number of frames that were written.
        size: (width, height) of the frames as coded.
        sounds: number of audio streams that were written.

    Raises:
        MediaError: the file cannot be read, or does not hold what was written.
    """
    try:
        with open_media(partial) as written:
            if not written.streams.video:
                raise no_picture_error(partial)
            # The first video stream is the encoded one; others are copies.
            stream = written.streams.video[0]
            picture = first_picture(written, stream, partial)
            found = picture.width, picture.height
            counted = stream.frames if container.counts_frames else frames
            found_sounds = len(written.streams.audio)
    except MediaError as error:
        reason = str(error).replace(str(partial), "it").rstrip(".")
        raise _read_back_error(output, reason) from error
    if found != size:
        raise _read_back_error(output, f"its first picture is {found[0]}x{found[1]}")
    if counted != frames:
        raise _read_back_error(output, f"it contains {counted} of {frames} frames")
    if found_sounds < sounds and not (container.needs_padding and frames < _SHORT):
        raise _read_back_error(output, f"it contains {found_sounds} of {sounds} audio streams")


def check_picture(partial: Path, output: Path, size: tuple[int, int]) -> None:
    """Decode a written still image and check its size (width, height).

    Raises:
        MediaError: the file cannot be read, or has another size.
    """
    try:
        with open_media(partial) as written:
            picture = first_picture(written, main_video(written, partial), partial)
    except MediaError as error:
        raise _read_back_error(
            output, str(error).replace(str(partial), "it").rstrip(".")
        ) from error
    if (picture.width, picture.height) != size:
        raise _read_back_error(output, f"it is {picture.width}x{picture.height}")


def _read_back_error(output: Path, why: str) -> MediaError:
    return MediaError(
        f"{output} could not be written so that it can be read back: {why}. Choose another "
        "format: .mkv or .mp4 for a video, .png for a picture."
    )


def pad_mpegts(partial: Path) -> None:
    """Append null packets to a short MPEG-TS file; no reader recognises one by a few packets."""
    with partial.open("r+b") as file:
        # A packet of 188 bytes begins with its sync byte. In .m2ts, a time of 4 bytes precedes it.
        prefix = b"" if file.read(1) == _NULL_PACKET[:1] else bytes(4)
        packet = prefix + _NULL_PACKET
        missing = _FEWEST_PACKETS - os.fstat(file.fileno()).st_size // len(packet)
        file.seek(0, os.SEEK_END)
        file.write(packet * max(0, missing))
