"""Input files of a request: a path, a file:// or data: URI, base64, or a permitted URL.

Each becomes a path. Content that is not in a local file is written to the job's own folder, so
that the job's record stays small and another process can perform the job.
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

DOWNLOADS_VARIABLE: Final = "FACESWAP_ENGINE_ALLOW_DOWNLOADS"
MAX_BYTES: Final = 2 << 30

# Takes a field name and a path; checks the path and returns it as an absolute one.
ResolvePath: TypeAlias = Callable[[str, Path], Path]

_SCHEME = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+.-]{1,31}):")
_MIN_BASE64 = 64  # characters; a shorter value is a path
_MAX_PATH = 4096  # characters
_PIECE = 1 << 20  # characters decoded at a time
_PADDING = 8  # last characters of a piece, which may hold padding and are decoded with the next
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


def check_readable(field: str, path: Path, sent: str | None = None) -> Path:
    """Return the absolute path of a file that this user may read.

    Args:
        field: parameter name for errors.
        path: the file.
        sent: the value to quote in errors; None quotes the path.

    Raises:
        ParameterError: The path is not a file, or may not be read.
    """
    shown = _quote(str(path) if sent is None else sent)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):
        is_file = False
    if not is_file:
        raise ParameterError(
            f"{field} is {shown}, which is no file here; give the path of a file, a "
            "file:// or data: URI, or base64."
        )
    if not os.access(path, os.R_OK):
        raise ParameterError(f"{field} is {shown}, which may not be read; change its permissions.")
    return path.absolute()


@dataclass(frozen=True, slots=True)
class InputResolver:
    """Turns the values of file parameters into paths of local files.

    Attributes:
        resolve_path: checks the path of a local file and returns it as an absolute one.
        downloads: permits http and https URLs.
        max_bytes: maximum size of decoded or downloaded content.
    """

    resolve_path: ResolvePath = check_readable
    downloads: bool = False
    max_bytes: int = MAX_BYTES

    def resolve(self, field: str, value: str, folder: Path) -> Path:
        """Return the path of the file that a value names or holds.

        Content that is not in a local file is written to `folder`; an error may leave a part of it
        there.

        Raises:
            ParameterError: The value of `field` cannot be used.
        """
        match = _SCHEME.match(value)
        scheme = match["name"].lower() if match else ""
        if scheme == "data":
            return self._write(field, value, *_decode_data_uri(field, value), folder)
        if scheme in ("http", "https"):
            return self._download(field, value, folder)
        if scheme == "file":
            return self.resolve_path(field, path_from_uri(field, value))
        if "://" in value[:40]:
            raise ParameterError(
                f"{field} is {_quote(value)}; allowed: a path, a file:// or data: URI, or base64."
            )
        if _is_base64(value):
            return self._write(field, value, _decode_base64(value), None, folder)
        return self.resolve_path(field, Path(value))

    def _write(
        self, field: str, value: str, content: Iterator[bytes], declared: str | None, folder: Path
    ) -> Path:
        """Write content piece by piece; `declared` is the suffix of an unknown signature."""
        try:
            piece = next(content, b"")
            suffix = _suffix(piece) or declared
            if suffix is None:
                raise ParameterError(
                    f"{field} is {_quote(value)}, whose bytes are no picture or video known here; "
                    "give one as a file, a data: URI or base64."
                )
            path = folder / f"{field}{suffix}"
            with path.open("wb") as file:
                file.writelines(limit_bytes(self.max_bytes, chain((piece,), content)))
        except TooManyBytes:
            raise ParameterError(
                f"{field} holds more than {self.max_bytes:,} bytes, the maximum; give a smaller "
                "file, or the path of a file."
            ) from None
        except binascii.Error as error:
            raise ParameterError(
                f"{field} is {_quote(value)}, which cannot be decoded: {error}. Give base64, or a "
                "data: URI as data:image/png;base64, followed by base64."
            ) from None
        return path

    def _download(self, field: str, url: str, folder: Path) -> Path:
        if not self.downloads:
            raise ParameterError(
                f"{field} is {_quote(url)}, and this engine works offline: it fetches nothing "
                "from a network. Download the file yourself and give its path, or allow downloads "
                f"by {DOWNLOADS_VARIABLE}=1 or SegmindClient(allow_downloads=True)."
            )
        # Imported here only, so that an engine without permission never loads network code.
        from engine.jobs.download import download  # noqa: PLC0415

        downloaded = folder / f"{field}.download"
        download(field, url, downloaded, self.max_bytes)
        with downloaded.open("rb") as file:
            suffix = _suffix(file.read(256)) or Path(urlsplit(url).path).suffix.lower()
        return downloaded.rename(folder / f"{field}{suffix}")


def downloads_allowed() -> bool:
    """Return True if FACESWAP_ENGINE_ALLOW_DOWNLOADS is 1."""
    return os.environ.get(DOWNLOADS_VARIABLE, "") == "1"


def path_from_uri(field: str, uri: str) -> Path:
    """Return the local path of a file: URI (RFC 8089).

    Raises:
        ParameterError: The URI names another host, or no absolute path.
    """
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost") or not path.startswith("/") or "\0" in path:
        raise ParameterError(
            f"{field} is {_quote(uri)}; allowed: file:///, followed by the path of a local file."
        )
    # A Windows drive follows a slash in a URI, and none in a path.
    return Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)


def _decode_data_uri(field: str, uri: str) -> tuple[Iterator[bytes], str | None]:
    """Return the bytes of a data: URI (RFC 2397) and the suffix of its media type."""
    comma = uri.find(",")
    if comma < 0:
        raise ParameterError(
            f"{field} is {_quote(uri)}, a data: URI without a comma; write it as "
            "data:image/png;base64, followed by base64."
        )
    kind, *properties = uri[5:comma].split(";")
    kind = kind.strip().lower()
    suffix = mimetypes.guess_extension(kind) if kind.startswith(("image/", "video/")) else None
    if not properties or properties[-1].strip().lower() != "base64":
        return iter((unquote_to_bytes(uri[comma + 1 :]),)), suffix
    if "%" in uri:
        return _decode_base64(unquote(uri[comma + 1 :])), suffix
    return _decode_base64(uri, comma + 1), suffix


def _is_base64(value: str) -> bool:
    """Return True for base64 of a known media signature, or longer than any path."""
    if len(value) < _MIN_BASE64:
        return False
    try:
        head = next(_decode_base64(value), b"")
    except binascii.Error:
        return False
    # A path may consist of base64 characters, but does not decode to a media signature.
    return len(value) > _MAX_PATH or _suffix(head) is not None


def _decode_base64(text: str, start: int = 0) -> Iterator[bytes]:
    """Decode base64 of either alphabet (RFC 4648) in pieces; padding is optional.

    Raises:
        binascii.Error: The text is not base64.
    """
    packed = ""
    for at in range(start, len(text), _PIECE):
        packed += "".join(text[at : at + _PIECE].split()).translate(_ALPHABETS)
        whole = max(0, len(packed) - _PADDING) // 4 * 4
        if whole:
            yield _decode_piece(packed[:whole])
        packed = packed[whole:]
    packed = packed.rstrip("=")
    if packed:
        yield _decode_piece(packed + "=" * (-len(packed) % 4))


def _decode_piece(packed: str) -> bytes:
    if not packed.isascii():
        raise binascii.Error("it holds characters outside the base64 alphabet")
    return base64.b64decode(packed, validate=True)


def _suffix(content: bytes) -> str | None:
    """Return the file suffix for the signature of media content; None where it is unknown."""
    if content.startswith(_EBML):
        return ".webm" if b"webm" in content[:64] else ".mkv"
    if content[:1] == content[188:189] == b"G":
        return ".ts"
    for offset, mark, suffix in _SIGNATURES:
        if content[offset : offset + len(mark)] == mark:
            return suffix
    return None


class TooManyBytes(Exception):
    """The content exceeds the maximum number of bytes."""


def limit_bytes(max_bytes: int, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield parts of content up to a total size.

    Raises:
        TooManyBytes: The total exceeds the maximum; the part in excess is not yielded.
    """
    left = max_bytes
    for part in parts:
        left -= len(part)
        if left < 0:
            raise TooManyBytes
        yield part


class Readable(Protocol):
    """A file or an HTTP response that is open for reading."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; none at the end."""
        ...


def read_chunks(source: Readable) -> Iterator[bytes]:
    """Read a file or a response to its end, chunk by chunk."""
    return iter(lambda: source.read(_CHUNK), b"")


def strip_secrets(url: str) -> str:
    """Return a URL without user, password, query and fragment; other text passes through."""
    scheme, slashes, rest = url.partition("://")
    # A password may hold any character except a slash.
    place, slash, path = rest.partition("/")
    shown = "".join((scheme, slashes, place.rpartition("@")[2], slash, path))
    return shown.partition("?")[0].partition("#")[0]


def _quote(text: str) -> str:
    """Quote a value for an error: at most 80 characters, without a URL's secrets."""
    shown = strip_secrets(text) if "://" in text[:40] else text
    return repr(shown if len(shown) <= 80 else f"{shown[:80]}…")
