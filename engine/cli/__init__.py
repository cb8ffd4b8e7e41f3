"""The command `faceswap-engine`: arguments in, words and an exit code out."""

from engine.cli import jobs
from engine.cli.commands import main

__all__ = ["jobs", "main"]
