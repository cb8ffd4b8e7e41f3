"""Access rules: key, Host, Origin, and requirements on the key."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.datastructures import Headers

from engine.errors import ParameterError
from engine.server.access import Access, create_access, is_loopback
from engine.server.responses import Refusal

OPEN = Access()
KEYED = Access(api_key="secret")


def ask(access: Access, path: str = "/v2/x", **headers: str) -> int:
    """Return the status code of a refusal, or 200."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        access.check(path, Headers({"host": "127.0.0.1:8760", **named}))
    except Refusal as refusal:
        return refusal.code
    return 200


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8760", "localhost:1", "LOCALHOST", "[::1]:8760", "192.168.0.7"]
)
def test_an_address_and_localhost_are_always_names_of_the_server(host: str) -> None:
    assert ask(OPEN, host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "user@127.0.0.1",
        "127.0.0.1/x",
        "127.0.0.1:notaport",
        "127.0.0.1#",
        "[::1",
        "[::1%evil.example]",
        "[fe80::1%25evil.example]:8760",
        "127.1",
        "2130706433",
    ],
)
def test_another_name_is_refused(host: str) -> None:
    assert ask(OPEN, host=host) == 403


def test_a_name_is_allowed_by_its_owner() -> None:
    access = create_access("127.0.0.1", None, ["Swap.Local"])
    assert ask(access, host="swap.local:8760") == 200
    assert ask(OPEN, host="swap.local:8760") == 403


@settings(deadline=None)  # a slow machine is no failure
@given(st.text(min_size=1))
def test_no_host_breaks_the_check(host: str) -> None:
    assert ask(OPEN, host=host.encode("utf-8", "replace").decode("latin-1")) in (200, 403)


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://127.0.0.1:8760", 200),
        ("http://127.0.0.1:8761", 403),
        ("http://evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_pages_of_other_origins_are_refused(origin: str, code: int) -> None:
    assert ask(OPEN, origin=origin) == code


@pytest.mark.parametrize("key", ["", "Secret", "secret ", "sécret", "x" * 10_000])
def test_a_wrong_key_is_refused(key: str) -> None:
    assert ask(KEYED, x_api_key=key) == 401


def test_the_key_opens_and_its_lack_does_not() -> None:
    assert ask(KEYED, x_api_key="secret") == 200
    assert ask(KEYED) == 401
    assert ask(OPEN, x_api_key="any") == 200
    assert "secret" not in repr(KEYED)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json", "/outputs/some-id/swapped.mp4"])
def test_some_paths_need_no_key_but_a_known_host(path: str) -> None:
    assert ask(KEYED, path) == 200
    assert ask(KEYED, path, host="evil.example") == 403


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "swap.local", ""])
def test_others_may_reach_it_only_with_a_key(host: str) -> None:
    with pytest.raises(ParameterError, match="no key is set"):
        create_access(host, None)
    with pytest.raises(ParameterError, match="api_key is empty"):
        create_access(host, " ")
    assert create_access(host, "secret").api_key == "secret"


def test_what_is_loopback() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "localhost"]))
    assert not any(map(is_loopback, ["0.0.0.0", "::", "10.0.0.1", "localhost.evil.example"]))
