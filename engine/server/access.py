"""Access control: the key, Host and Origin of a request, and the security headers of responses."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import ParameterError
from engine.server.responses import Refusal

OPEN_PATHS: Final = frozenset({"/healthz", "/openapi.json"})
# The request id in such a path has 122 random bits, which only its submitter knows.
OPEN_FOLDER: Final = "/outputs/"

_SECURITY_HEADERS: Final = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; img-src 'self'; media-src 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Access rules of a server.

    Attributes:
        api_key: the key that clients must send; None for none.
        hosts: names that a Host header may hold beside IP addresses and localhost.
    """

    api_key: str | None = field(default=None, repr=False)
    hosts: frozenset[str] = frozenset()

    def check(self, path: str, headers: Headers) -> None:
        """Check the headers of a request.

        Raises:
            Refusal: 403 for a foreign Host or Origin, 401 for a missing or wrong key, 400 for both
                Content-Length and Transfer-Encoding.
        """
        if "content-length" in headers and "transfer-encoding" in headers:
            # Request smuggling: a proxy may believe the other one (RFC 9112, section 6.1).
            raise Refusal(
                400,
                "Content-Length and Transfer-Encoding are both given; send one of them.",
                {"connection": "close"},
            )
        host = headers.get("host", "")
        if not self._allows_host(host):
            raise Refusal(
                403,
                f"Host is {host[:80]!r}, which is none of this server's names; allowed: an IP "
                "address, localhost, or a name given with --allowed-host.",
            )
        for origin in headers.getlist("origin"):
            if origin.lower() not in (f"http://{host.lower()}", f"https://{host.lower()}"):
                raise Refusal(
                    403,
                    f"Origin is {origin[:80]!r}, and pages from there may not use this server; "
                    "allowed: its own.",
                )
        if path not in OPEN_PATHS and not path.startswith(OPEN_FOLDER):
            self._check_key(headers.get("x-api-key"))

    def _allows_host(self, host: str) -> bool:
        # DNS rebinding works with names, never with addresses: so addresses need no list.
        name = _host_name(host)
        # A zone (RFC 6874) is arbitrary text of the client.
        return (
            name is not None
            and "%" not in name
            and (name == "localhost" or name in self.hosts or is_ip_address(name))
        )

    def _check_key(self, key: str | None) -> None:
        if self.api_key is None:
            return
        if key is None:
            raise Refusal(
                401, "The header x-api-key is missing; send the key of this server in it."
            )
        if not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise Refusal(401, "The key in x-api-key is not the key of this server.")


def create_access(host: str, api_key: str | None, hosts: Collection[str] = ()) -> Access:
    """Create the access rules of a server that listens on `host`.

    Raises:
        ParameterError: Other machines could call the server without a key, or clients could not
            send the key in a header.
    """
    if api_key is not None and not api_key.strip():
        raise ParameterError("api_key is empty; allowed: a key, or none on a loopback address.")
    if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
        raise ParameterError(
            "api_key holds characters that are not printable ASCII, and no client could send it in "
            "a header; choose another."
        )
    if api_key is None and not is_loopback(host):
        raise ParameterError(
            f"host is {host!r}, which other machines can reach, and no key is set; give one with "
            "FACESWAP_ENGINE_API_KEY, or listen on 127.0.0.1."
        )
    names = {name.lower() for name in hosts}
    return Access(
        api_key=api_key, hosts=frozenset(names if is_ip_address(host) else names | {host.lower()})
    )


def is_loopback(host: str) -> bool:
    """Return True if only this machine can reach a server that listens on `host`."""
    return host == "localhost" or (is_ip_address(host) and ipaddress.ip_address(host).is_loopback)


def is_ip_address(name: str) -> bool:
    """Return True for an IP address, False for a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def client_network(host: str) -> str:
    """Return the address that identifies a client: IPv4, or the /64 network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if address.version == 4:
        return host
    mapped = address.ipv4_mapped
    return str(mapped) if mapped else str(ipaddress.ip_network((int(address), 64), strict=False))


def request_client(request: Request) -> str:
    """Return the client of a request, as `client_network` identifies it; empty if unknown."""
    return "" if request.client is None else client_network(request.client.host)


def _host_name(host: str) -> str | None:
    """Return the host of a Host header without its port; None where it is malformed."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname if parts.netloc == host and "@" not in host else None


class AccessMiddleware:
    """ASGI middleware that checks requests by `Access` and adds the security headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURITY_HEADERS.items():
                    headers[name] = value
            await send(message)

        try:
            self._access.check(scope["path"], Headers(scope=scope))
        except Refusal as refusal:
            await refusal.response()(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)
