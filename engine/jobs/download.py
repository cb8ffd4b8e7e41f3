"""Downloads: the only code of the engine that connects to a network, used by permission only.

Only public addresses are contacted: a name is resolved once, all of its addresses are checked, and
one of them is connected to. Each redirect is checked likewise. No proxy is used, as a proxy would
resolve names itself.
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
from engine.jobs.inputs import TooManyBytes, limit_bytes, read_chunks, strip_secrets

SECONDS: Final = 30.0  # timeout for a silent server
MAX_SECONDS: Final = 1800.0  # timeout for a whole download
_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SAFE = "!#$%&'()*+,/:;=?@[]~"  # not quoted in the path and the query of a URL
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_RELAYS = ipaddress.IPv4Network("192.88.99.0/24")  # 6to4 relay anycast (RFC 7526)
# Global unicast (RFC 4291): excludes site-local, unique local and IPv4-compatible addresses.
_UNICAST = ipaddress.IPv6Network("2000::/3")
# Teredo and other protocols, and documentation; not every version of `ipaddress` has all of them.
_SPECIAL = tuple(map(ipaddress.IPv6Network, ("2001::/23", "2001:db8::/32", "3fff::/20")))


def download(field: str, url: str, path: Path, max_bytes: int) -> None:
    """Download an http or https URL to `path`.

    An error may leave a part of the file at `path`.

    Args:
        field: parameter name for errors.
        url: the URL.
        path: the file to write.
        max_bytes: maximum size of the file.

    Raises:
        ParameterError: The download fails, is incomplete, exceeds `max_bytes` or `MAX_SECONDS`, or
            the address is not public.
    """
    abort = _Abort()
    timer = threading.Timer(MAX_SECONDS, abort.trigger)
    timer.daemon = True
    timer.start()
    try:
        with closing(_get(url, abort)) as response, path.open("wb") as file:
            _copy(response, file, max_bytes)
            if abort.is_triggered:
                # A response without Content-Length ends with its connection.
                raise TimeoutError
    except TooManyBytes:
        raise ParameterError(
            f"{field} at {urlsplit(url).hostname} is longer than {max_bytes:,} bytes, the maximum; "
            "download it yourself and give its path."
        ) from None
    except (OSError, HTTPException, ValueError) as error:
        reason = f"it took longer than {MAX_SECONDS:g} seconds" if abort.is_triggered else error
        raise ParameterError(
            f"{field} is {strip_secrets(url)[:200]!r}, which cannot be downloaded: {reason}. "
            "Download it yourself and give its path."
        ) from error
    finally:
        timer.cancel()


def is_public(address: str) -> bool:
    """Return True for an IP address of the public internet, False for local and special ones."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and ip not in _RELAYS
    # An embedded IPv4 address (mapped, 6to4, NAT64) leads to that address.
    inner = ip.ipv4_mapped or ip.sixtofour
    if ip in _NAT64:
        inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if inner is not None:
        return is_public(str(inner))
    return ip in _UNICAST and ip.is_global and not any(ip in block for block in _SPECIAL)


class _Abort:
    """Lets another thread shut down the current connection."""

    def __init__(self) -> None:
        self.is_triggered = False
        self._socket: socket.socket | None = None

    def watch(self, connected: socket.socket) -> socket.socket:
        self._socket = connected
        if self.is_triggered:
            self.trigger()
        return connected

    def trigger(self) -> None:
        self.is_triggered = True
        if self._socket is not None:
            with suppress(OSError):
                # Bypasses the TLS layer, which another thread may be using.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Connection(HTTPConnection):
    """An HTTP or HTTPS connection to a checked address."""

    def __init__(self, parts: SplitResult, abort: _Abort) -> None:
        assert parts.hostname
        self._secure = parts.scheme == "https"
        # The port that is left out of the Host header.
        self.default_port = 443 if self._secure else 80
        super().__init__(parts.hostname, parts.port or self.default_port, timeout=SECONDS)
        self._abort = abort

    def connect(self) -> None:
        """Resolve the name and connect to one of its addresses, if all of them are public."""
        sock = self._abort.watch(_connect(self.host, self.port))
        if self._secure:
            context = ssl.create_default_context()
            sock = self._abort.watch(context.wrap_socket(sock, server_hostname=self.host))
        self.sock = sock


def _split(url: str) -> SplitResult:
    """Split an http or https URL; raise a ValueError for any other text."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # The library's message quotes text that may hold a password.
        raise ValueError("its host or port is malformed") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{strip_secrets(url)[:200]!r} is not an http or https URL")
    return parts


def _connect(host: str, port: int) -> socket.socket:
    """Connect to the first address of a host that accepts, within `SECONDS` in all."""
    end = time.monotonic() + SECONDS
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, address in found:
        if not is_public(str(address[0])):
            raise OSError(f"{host} is {address[0]}, which is not a public address")
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


def _get(url: str, abort: _Abort) -> HTTPResponse:
    """Request a URL, follow its redirects, and return the response of status 200."""
    for _ in range(_MAX_REDIRECTS + 1):
        parts = _split(url)
        # Not urlunsplit: a path that begins with two slashes would become a host.
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection = _Connection(parts, abort)
        try:
            connection.request("GET", quote(target, safe=_SAFE), headers={"Connection": "close"})
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        if response.status == 200:
            return response
        response.close()
        connection.close()
        location = response.headers.get("Location")
        if response.status not in _REDIRECTS or location is None:
            raise OSError(f"the server answered {response.status} {response.reason}")
        url = _join(url, location)
    raise OSError(f"it was redirected more than {_MAX_REDIRECTS} times")


def _join(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:
        raise ValueError("it was redirected to a malformed URL") from None


def _copy(response: HTTPResponse, file: BinaryIO, max_bytes: int) -> None:
    """Write the body of a response to a file."""
    if (response.length or 0) > max_bytes:
        raise TooManyBytes
    file.writelines(limit_bytes(max_bytes, read_chunks(response)))
    if response.length:
        raise OSError(f"the connection ended {response.length:,} bytes before the end of the file")
