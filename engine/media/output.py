"""Where results go: checked before any work, written beside, moved into place at the end."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import MediaError, OutputExists

IMAGE_SUFFIXES = (".jpeg", ".jpg", ".png", ".webp")
VIDEO_FORMATS = {
    ".avi": "avi",
    ".flv": "flv",
    ".m2ts": "mpegts",
    ".m4v": "mp4",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp4": "mp4",
    ".mts": "mpegts",
    ".nut": "nut",
    ".ts": "mpegts",
    ".webm": "webm",
}


@dataclass(frozen=True, slots=True)
class WrittenInfo:
    """What was written, and in sentences what could not be carried over as it was."""

    frames: int
    size: tuple[int, int]
    codec: str
    pixel_format: str
    warnings: tuple[str, ...]


def check_output(output: Path, *, overwrite: bool = False, inputs: Sequence[Path] = ()) -> None:
    """Whether a result could be written there, said before any work is done.

    Raises:
        MediaError: unknown extension, no such folder, an unwritable folder, or one of the inputs.
        OutputExists: the file is there and `overwrite` is False.
    """
    suffix = output.suffix.lower()
    if suffix not in VIDEO_FORMATS and suffix not in IMAGE_SUFFIXES:
        known = ", ".join(sorted((*VIDEO_FORMATS, *IMAGE_SUFFIXES)))
        raise MediaError(f"the output {output} must end in one of {known}")
    folder = output.parent
    if not folder.is_dir():
        raise MediaError(f"the folder of the output, {folder}, does not exist; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise MediaError(f"the folder of the output, {folder}, cannot be written to")
    if output.is_dir():
        raise MediaError(f"the output {output} is a directory; name a file")
    if not output.exists():
        return
    for source in inputs:
        if source.exists() and output.samefile(source):
            raise MediaError(f"the output {output} is also an input; choose another name")
    if not overwrite:
        raise OutputExists(f"{output} exists; choose another name or ask to overwrite it")


@contextmanager
def written_aside(output: Path) -> Iterator[Path]:
    """A path beside `output` to write to; moved onto it at the end, removed on any exception."""
    aside = output.with_name(f".{output.stem}.{secrets.token_hex(4)}.partial{output.suffix}")
    try:
        yield aside
        aside.replace(output)
    finally:
        aside.unlink(missing_ok=True)
