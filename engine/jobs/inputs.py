"""What a caller may give for a file: a path, a file:// or data: URI, base64, or a permitted URL.

Each becomes a path. What is not a file of this machine is written to the job's own folder, so
that a job's record stays small and another process can begin it.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Final, Protocol, TypeAlias
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from engine.errors import ParameterError

_CHUNK: Final = 1 << 20

DOWNLOADS: Final = "FACESWAP_ENGINE_ALLOW_DOWNLOADS"
MOST_BYTES: Final = 2 << 30

# The path of a field, checked and made absolute.
Admit: TypeAlias = Callable[[str, Path], Path]

_SCHEME = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]{1,31}):")
_SHORTEST = 64  # characters of base64 that may be a picture; what is shorter is a path
_LONGEST = 4096  # characters of a path
_PIECE = 1 << 20  # characters decoded at a time
_HELD_BACK = 8  # characters that may hold the padding, and are decoded last
_ALPHABETS = str.maketrans("-_", "+/")
_SIGNATURES = (
    (0, b"\x89PNG\r\n\x1a\n", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (0, b"GIF8", ".gif"),
    (0, b"BM", ".bmp"),
    (0, b"II*\0", ".tiff"),
    (0, b"MM\0*", ".tiff"),
    (8, b"WEBP", ".webp"),
    (8, b"AVI ", ".avi"),
    (4, b"ftypavif", ".avif"),
    (4, b"ftyphei", ".heic"),
    (4, b"ftypqt", ".mov"),
    (4, b"ftyp", ".mp4"),
    (0, b"FLV", ".flv"),
    (0, b"\0\0\x01\xba", ".mpg"),
)
_EBML = b"\x1a\x45\xdf\xa3"


def readable_file(field: str, path: Path, sent: str | None = None) -> Path:
    """The path made absolute, where it names a file that this user may read.

    Raises:
        ParameterError: It does not; the path is told as it was `sent`.
    """
    told = _cut(str(path) if sent is None else sent)
    try:
        found = path.is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise ParameterError(
            f"{field} is {told}, which is no file here; give the path of a file, a "
            "file:// or data: URI, or base64."
        )
    if not os.access(path, os.R_OK):
        raise ParameterError(f"{field} is {told}, which may not be read; permit it.")
    return path.absolute()


@dataclass(frozen=True, slots=True)
class Inputs:
    """What may be given.

    `admit` checks the path of a local file. `downloads` permits http and https, and `most_bytes`
    bounds what is decoded or downloaded.
    """

    admit: Admit = readable_file
    downloads: bool = False
    most_bytes: int = MOST_BYTES

    def take(self, field: str, value: str, folder: Path) -> Path:
        """The file that `value` means; what is no local file is written to `folder`.

        Raises:
            ParameterError: It is none of what may be given; `field` is named. A file half-written
                may be left in `folder`.
        """
        match = _SCHEME.match(value)
        scheme = match["name"].lower() if match else ""
        if scheme == "data":
            return self._write(field, value, *_decoded_uri(field, value), folder)
        if scheme in ("http", "https"):
            return self._download(field, value, folder)
        if scheme == "file":
            return self.admit(field, path_of_uri(field, value))
        if "://" in value[:40]:
            raise ParameterError(
                f"{field} is {_cut(value)}; allowed: a path, a file:// or data: URI, or base64."
            )
        if _is_base64(value):
            return self._write(field, value, _decoded(value), None, folder)
        return self.admit(field, Path(value))

    def _write(
        self, field: str, value: str, content: Iterator[bytes], named: str | None, folder: Path
    ) -> Path:
        """Writes content as it is decoded, so that a large one is never held twice."""
        try:
            piece = next(content, b"")
            suffix = _suffix(piece) or named
            if suffix is None:
                raise ParameterError(
                    f"{field} is {_cut(value)}, whose bytes are no picture or video known here; "
                    "give one as a file, a data: URI or base64."
                )
            path = folder / f"{field}{suffix}"
            with path.open("wb") as file:
                file.writelines(at_most(self.most_bytes, chain((piece,), content)))
        except TooLong:
            raise ParameterError(
                f"{field} holds more than {self.most_bytes:,} bytes, which are the most allowed; "
                "give a smaller one, or the path of a file."
            ) from None
        except binascii.Error as error:
            raise ParameterError(
                f"{field} is {_cut(value)}, which cannot be decoded: {error}. Give base64, or a "
                "data: URI as data:image/png;base64, followed by base64."
            ) from None
        return path

    def _download(self, field: str, url: str, folder: Path) -> Path:
        if not self.downloads:
            raise ParameterError(
                f"{field} is {_cut(url)}, and this engine works offline: it fetches nothing from "
                "a network. Download the file yourself and give its path, or allow downloads by "
                f"{DOWNLOADS}=1 or SegmindClient(allow_downloads=True)."
            )
        # Loaded here and nowhere else, so that no other code is near a network.
        from engine.jobs.download import download  # noqa: PLC0415

        arrived = folder / f"{field}.download"
        download(field, url, arrived, self.most_bytes)
        with arrived.open("rb") as file:
            suffix = _suffix(file.read(256)) or Path(urlsplit(url).path).suffix.lower()
        return arrived.rename(folder / f"{field}{suffix}")


def downloads_allowed() -> bool:
    """Whether the environment permits downloads."""
    return os.environ.get(DOWNLOADS, "") == "1"


def path_of_uri(field: str, uri: str) -> Path:
    """The path that a file: URI names on this machine.

    Raises:
        ParameterError: It names another machine's, or none.
    """
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise ParameterError(
            f"{field} is {_cut(uri)}; allowed: file:///, followed by the path of a file here."
        )
    # A drive has a slash before it in a URI and none in a path.
    return Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)


def _decoded_uri(field: str, uri: str) -> tuple[Iterator[bytes], str | None]:
    """The bytes of a data: URI (RFC 2397) and the suffix that its kind has."""
    comma = uri.find(",")
    if comma < 0:
        raise ParameterError(
            f"{field} is {_cut(uri)}, a data: URI without a comma; write it as "
            "data:image/png;base64, followed by base64."
        )
    kind, *properties = uri[5:comma].split(";")
    kind = kind.strip().lower()
    suffix = mimetypes.guess_extension(kind) if kind.startswith(("image/", "video/")) else None
    if not properties or properties[-1].strip().lower() != "base64":
        return iter((unquote_to_bytes(uri[comma + 1 :]),)), suffix
    if "%" in uri:
        return _decoded(unquote(uri[comma + 1 :])), suffix
    return _decoded(uri, comma + 1), suffix


def _is_base64(value: str) -> bool:
    """Whether a value is base64 of a picture or video, or of what is too long for a path."""
    if len(value) < _SHORTEST:
        return False
    try:
        head = next(_decoded(value), b"")
    except binascii.Error:
        return False
    # A long path may be made of the same characters, but will not decode to a picture.
    return len(value) > _LONGEST or _suffix(head) is not None


def _decoded(text: str, start: int = 0) -> Iterator[bytes]:
    """Base64 of either alphabet (RFC 4648), with or without its padding, decoded in pieces.

    Raises:
        binascii.Error: It is none.
    """
    packed = ""
    for at in range(start, len(text), _PIECE):
        packed += "".join(text[at : at + _PIECE].split()).translate(_ALPHABETS)
        whole = max(0, len(packed) - _HELD_BACK) // 4 * 4
        if whole:
            yield _decoded_piece(packed[:whole])
        packed = packed[whole:]
    packed = packed.rstrip("=")
    if packed:
        yield _decoded_piece(packed + "=" * (-len(packed) % 4))


def _decoded_piece(packed: str) -> bytes:
    if not packed.isascii():
        raise binascii.Error("it holds characters that base64 has not")
    return base64.b64decode(packed, validate=True)


def _suffix(content: bytes) -> str | None:
    """The suffix of a file that begins so, where its signature is known."""
    if content.startswith(_EBML):
        return ".webm" if b"webm" in content[:64] else ".mkv"
    if content[:1] == content[188:189] == b"G":
        return ".ts"
    for offset, mark, suffix in _SIGNATURES:
        if content[offset : offset + len(mark)] == mark:
            return suffix
    return None


class TooLong(Exception):
    """There are more bytes than may be taken."""


def at_most(most_bytes: int, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Pass parts on as long as they hold no more bytes together.

    Raises:
        TooLong: they hold more; the part that is too much is not passed on.
    """
    left = most_bytes
    for part in parts:
        left -= len(part)
        if left < 0:
            raise TooLong
        yield part


class Readable(Protocol):
    """A file or an answer that is open for reading."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...


def chunks(source: Readable) -> Iterator[bytes]:
    """Read a file or an answer to its end, piece by piece."""
    return iter(lambda: source.read(_CHUNK), b"")


def without_secrets(url: str) -> str:
    """A URL, or any other text, without a URL's user, password, query and fragment."""
    scheme, slashes, rest = url.partition("://")
    # A password may hold any character, a slash alone excepted.
    place, slash, path = rest.partition("/")
    shown = "".join((scheme, slashes, place.rpartition("@")[2], slash, path))
    return shown.partition("?")[0].partition("#")[0]


def _cut(text: str) -> str:
    told = without_secrets(text) if "://" in text[:40] else text
    return repr(told if len(told) <= 80 else f"{told[:80]}…")
