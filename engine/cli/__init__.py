"""The command `faceswap-engine`: arguments in, words and an exit code out."""

from engine.cli import jobs, serve
from engine.cli.commands import main

__all__ = ["jobs", "main", "serve"]
