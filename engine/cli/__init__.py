"""The command line of the engine."""

# ruff: noqa: PLC0415 - signals are handled before anything else is imported

from engine.cli import signals

__all__ = ["main"]


def main() -> int:
    """Run the command in this process, and return the exit code.

    Use `engine.cli.commands.main` in a process that handles its own signals and streams.
    """
    signals.take()
    from engine.cli import streams

    streams.guard()
    from engine.cli.commands import main as run

    code = run()
    signals.let_finish()
    return code
