"""Downloads, the one place in the engine that can reach a network, and only by permission.

Only public addresses are reached: a name is resolved once, its addresses are judged, and one of
them is connected to. Each redirect is judged anew. No proxy is used, as it would resolve names
itself.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from engine.errors import ParameterError
from engine.jobs.inputs import TooLong, at_most, chunks, without_secrets

SECONDS: Final = 30.0  # that a server may be silent
MOST_SECONDS: Final = 1800.0  # that a whole download may take
_MOST_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_AS_IT_IS = "!#$%&'()*+,/:;=?@[]~"  # in the path and the query of a URL
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")  # of 6to4
# All that IANA has given out of IPv6 for the public internet. Site-local, unique local and
# IPv4-compatible addresses are outside.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# Teredo and other protocols, and documentation; not every Python knows all of them.
_SPECIAL = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))


def download(field: str, url: str, path: Path, most_bytes: int) -> None:
    """Writes what an http or https URL answers with to `path`.

    On an error `path` may be left half-written.

    Raises:
        ParameterError: It cannot be had whole, is longer than `most_bytes`, takes too long, or is
            at an address that is not public; `field` names it.
    """
    line = _Line()
    timer = threading.Timer(MOST_SECONDS, line.cut)
    timer.daemon = True
    timer.start()
    try:
        with closing(_answer(url, line)) as answer, path.open("wb") as file:
            _copy(answer, file, most_bytes)
            if line.is_cut:
                # An answer of no told length ends where its connection does.
                raise TimeoutError
    except TooLong:
        raise ParameterError(
            f"{field} at {urlsplit(url).hostname} is longer than {most_bytes:,} bytes; download "
            "it yourself and give its path."
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = f"it took longer than {MOST_SECONDS:g} seconds" if line.is_cut else error
        raise ParameterError(
            f"{field} is {without_secrets(url)[:200]!r}, which cannot be downloaded: {reason}. "
            "Download it yourself and give its path."
        ) from error
    finally:
        timer.cancel()


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, and none of this machine or network."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and ip not in _RELAYS
    # An IPv4 address in another dress leads where that address leads.
    inner = ip.ipv4_mapped or ip.sixtofour
    if ip in _NAT64:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(str(inner))
    return ip in _UNICAST and ip.is_global and not any(ip in block for block in _SPECIAL)


class _Line:
    """The connection of the moment, which another thread may cut."""

    def __init__(self) -> None:
        self.is_cut = False
        self._socket: socket.socket | None = None

    def hold(self, connected: socket.socket) -> socket.socket:
        self._socket = connected
        if self.is_cut:
            self.cut()
        return connected

    def cut(self) -> None:
        self.is_cut = True
        if self._socket is not None:
            with suppress(OSError):
                # Past the TLS layer, which another thread may be in.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """A connection to an address that was judged."""

    def __init__(self, parts: SplitResult, line: _Line) -> None:
        assert parts.hostname
        self._secure = parts.scheme == "https"
        # The port that the header Host leaves out.
        self.default_port = 443 if self._secure else 80
        super().__init__(parts.hostname, parts.port or self.default_port, timeout=SECONDS)
        self._line = line

    def connect(self) -> None:
        """Resolves the name, and connects to one of its addresses if all are public."""
        sock = self._line.hold(_connected(self.host, self.port))
        if self._secure:
            context = ssl.create_default_context()
            sock = self._line.hold(context.wrap_socket(sock, server_hostname=self.host))
        self.sock = sock


def _split(url: str) -> SplitResult:
    """The parts of an http or https URL, whose port is valid."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The library's words quote what may hold a password.
        raise ValueError("its host or port is malformed") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{without_secrets(url)[:200]!r} is no http or https URL")
    return parts


def _connected(host: str, port: int) -> socket.socket:
    """A connection to the first address of a name that takes one; all have `SECONDS` together."""
    end = time.monotonic() + SECONDS
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if not is_public(str(address[0])):
            raise OSError(f"{host} is {address[0]}, which is no public address")
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        left = end - time.monotonic()
        if left <= 0:
            break
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(left)
            sock.connect(address)
            sock.settimeout(SECONDS)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure or OSError(f"{host} has no address")


def _answer(url: str, line: _Line) -> HTTPResponse:
    """The answer to a URL, after its redirects."""
    for _ in range(_MOST_REDIRECTS + 1):
        parts = _split(url)
        # Put together by hand: a path of two slashes would be taken for a host.
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _Connection(parts, line)
        try:
            connection.request(
                "GET", quote(target, safe=_AS_IT_IS), headers={"Connection": "close"}
            )
            answer = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        if answer.status == 200:
            return answer
        answer.close()
        connection.close()
        location = answer.headers.get("Location")
        if answer.status not in _REDIRECTS or location is None:
            raise OSError(f"the server answered {answer.status} {answer.reason}")
        url = _joined(url, location)
    raise OSError(f"it was redirected more than {_MOST_REDIRECTS} times")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise ValueError("it was redirected to a malformed URL") from None


def _copy(answer: HTTPResponse, file: BinaryIO, most_bytes: int) -> None:
    """Writes all of an answer to a file."""
    if (answer.length or 0) > most_bytes:
        raise TooLong
    file.writelines(at_most(most_bytes, chunks(answer)))
    if answer.length:
        raise OSError(f"the connection ended {answer.length:,} bytes before the end of the file")
