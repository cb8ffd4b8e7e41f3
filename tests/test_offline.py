"""The engine connects to no network."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import engine
from tests import without_network
from tests.footage import STRANGER, asset, write_clip

ON_TEST_MACHINES = ("CI", "GITHUB_ACTIONS", "ORT_DISABLE_TELEMETRY")

PACKAGE = Path(engine.__file__).parent
NETWORK = {
    "aiohttp",
    "asyncio",
    "ftplib",
    "http",
    "httpx",
    "imaplib",
    "poplib",
    "requests",
    "smtplib",
    "socket",
    "socketserver",
    "ssl",
    "telnetlib",
    "urllib.error",
    "urllib.request",
    "urllib3",
    "webbrowser",
    "websockets",
    "xmlrpc",
}
# The server accepts connections and opens none.
PERMITTED = {
    # Downloads that the user allowed; imported at the first download.
    "jobs/download.py": {
        *("http.client", "http.client.HTTPConnection", "http.client.HTTPException"),
        *("http.client.HTTPResponse", "socket", "ssl"),
    },
    "server/responses.py": {"asyncio"},
    "server/routes.py": {"asyncio"},
    "server/body.py": {"asyncio"},
    "server/serving.py": {"asyncio", "socket"},
    "server/fair_threads.py": {"asyncio"},
}

IMPORT_ALL = """
import importlib, pkgutil, sys

def refuse(event, args):
    if event.startswith(("socket.", "urllib.", "http.", "ftplib.", "smtplib.")):
        raise PermissionError(f"the engine reached for the network: {event} {args}")

sys.addaudithook(refuse)
import engine
for module in pkgutil.walk_packages(engine.__path__, "engine."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(len(sys.modules))
"""


def imported_names(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_module_names_a_network_module(path: Path) -> None:
    permitted = PERMITTED.get(path.relative_to(PACKAGE).as_posix(), set())
    assert {
        name for name in imported_names(path) if name in NETWORK or name.split(".")[0] in NETWORK
    } <= permitted


def test_only_an_input_leads_to_the_downloads() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith("engine.jobs.download") for name in imported_names(path))
    }
    assert users == {"jobs/inputs.py"}


def test_every_module_imports_with_the_network_forbidden() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def run_without_sockets(*arguments: str | Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a module as a program that the kernel kills if it creates an internet socket."""
    # Some libraries send no telemetry on machines that run tests; here they behave as for users.
    variables = {name: value for name, value in os.environ.items() if name not in ON_TEST_MACHINES}
    folders = {"HOME": home, "XDG_CACHE_HOME": home / "cache", "XDG_DATA_HOME": home / "data"}
    return subprocess.run(
        [sys.executable, without_network.__file__, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**variables, **{name: str(path) for name, path in folders.items()}},
    )


@pytest.mark.skipif(not without_network.SUPPORTED, reason="the kernel cannot be asked here")
def test_what_makes_a_socket_is_ended(tmp_path: Path) -> None:
    command = "import socket; print('here', flush=True); socket.socket()"
    done = run_without_sockets("timeit", "-n1", "-r1", command, home=tmp_path)
    assert (done.stdout, done.returncode) == ("here\n", -signal.SIGSYS)


@pytest.mark.skipif(not without_network.SUPPORTED, reason="the kernel cannot be asked here")
def test_a_whole_swap_makes_no_socket_and_leaves_nobody_a_report(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "two people.mkv", range(0, 200, 40))
    result = tmp_path / "result.mkv"
    done = run_without_sockets(
        *("engine", "swap", asset(STRANGER), clip, "-o", result, "--face-selector-mode", "many"),
        home=tmp_path / "home",
    )
    assert done.returncode == 0, done.stderr
    assert result.exists()
    # ONNX Runtime collects what it reports in the user's cache.
    assert not [path for path in tmp_path.rglob("*") if "microsoft" in path.name.lower()]
