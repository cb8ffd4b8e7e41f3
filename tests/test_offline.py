"""Nothing in the engine can reach a network."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import engine

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
# Whoever runs `serve` asks for a listener: these wait for callers, and call nobody.
PERMITTED = {
    # Downloads that the user allowed; loaded when one is asked for.
    "jobs/download.py": {"http.client", "http.client.HTTPException", "urllib.request"},
    "server/api.py": {"asyncio"},
    "server/body.py": {"asyncio"},
    "server/listen.py": {"asyncio", "socket"},
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


def named(path: Path) -> set[str]:
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
        name for name in named(path) if name in NETWORK or name.split(".")[0] in NETWORK
    } <= permitted


def test_only_an_input_leads_to_the_downloads() -> None:
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith("engine.jobs.download") for name in named(path))
    }
    assert users == {"jobs/inputs.py"}


def test_every_module_imports_with_the_network_forbidden() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
