"""The command `faceswap-engine`: arguments in, words and an exit code out."""

# ruff: noqa: PLC0415 - signals are heeded before anything else is imported

from engine.cli import signals

__all__ = ["main"]


def main() -> int:
    """Runs the command as this process's own; returns the exit code.

    `engine.cli.commands.main` runs it within a process that keeps its signals and streams.
    """
    signals.take()
    from engine.cli import streams

    streams.guard()
    from engine.cli.commands import main as run

    code = run()
    signals.let_finish()
    return code
