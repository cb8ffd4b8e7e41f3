"""Handling of SIGINT (Ctrl-C), SIGTERM and SIGHUP while the command runs.

Nothing heavy is imported here, as signals are not handled before `take` has run.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # as type checkers know it; the module typing takes longer than all of these
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from types import FrameType
    from typing import Final, Never
else:
    import _signal as signal  # what the module signal wraps into enumerations, at some expense

_NAMES: Final = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_PATIENCE: Final = 5.0  # seconds of cleaning up, in which further signals are ignored
_AGAIN: Final = 0.02  # seconds until a signal is sent again whose exception was lost


class Ended(BaseException):
    """A signal ended the process. `code` is the exit code, `words` the message."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.code = 128 + number
        self.done = "stopped" if number == signal.SIGINT else "ended"
        self.words = f"error: {self.done}; nothing was left half-written."


class _Process:
    """State of this process that the signal handler reads."""

    unwinding = 0  # number of open `raising_ended` blocks
    ended: Ended | None = None  # set by the first signal
    since = 0.0  # time of the first signal


def take() -> None:
    """Make the signals end this process with their exit code and without a traceback.

    Signals that are ignored (as by `nohup`) or handled already stay so.
    """
    for number in _numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    sys.unraisablehook = _hook_that_resends(sys.unraisablehook)


def heeded() -> list[int]:
    """Return the signals that end this process, without those that are ignored."""
    return [number for number in _numbers() if signal.getsignal(number) != signal.SIG_IGN]


def let_finish() -> None:
    """Ignore the signals while the interpreter ends, as the exit code is settled."""
    for number in _numbers():
        if signal.getsignal(number) == _end:
            signal.signal(number, signal.SIG_IGN)


class raising_ended:  # noqa: N801 - a context manager; contextlib takes its time to import
    """Context in which a signal raises `Ended`, so that partial files are removed.

    Import modules outside of it: some modules written in C do not survive an exception while they
    are loaded.
    """

    def __enter__(self) -> None:
        _Process.unwinding += 1

    def __exit__(self, *raised: object) -> None:
        _Process.unwinding -= 1


def _numbers() -> list[int]:
    return [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]


def _end(number: int, _: FrameType | None) -> None:
    if _Process.ended is not None:
        if time.monotonic() - _Process.since > _PATIENCE:
            done = _Process.ended.done
            words = f"error: {done} before all was cleaned up; partial files may be left."
            _leave(words, _Process.ended.code)
        return
    _Process.ended, _Process.since = Ended(number), time.monotonic()
    if _Process.unwinding:
        raise _Process.ended
    _leave(_Process.ended.words, _Process.ended.code)


def _leave(words: str, code: int) -> Never:
    """Print a message and end the process at once."""
    try:  # noqa: SIM105 - contextlib takes its time to import
        os.write(2, f"{words}\n".encode())
    except OSError:
        pass  # the terminal may be closed
    os._exit(code)


def _hook_that_resends(
    before: Callable[[sys.UnraisableHookArgs], object],
) -> Callable[[sys.UnraisableHookArgs], object]:
    """Return a hook that sends a signal again if its exception could not be raised."""

    def lost(told: sys.UnraisableHookArgs) -> None:
        if not isinstance(told.exc_value, Ended):
            before(told)
            return
        import threading  # noqa: PLC0415 - hardly ever needed

        _Process.ended = None
        main, number = threading.main_thread().ident, told.exc_value.number

        def send() -> None:
            if sys.platform == "win32" or main is None:
                signal.raise_signal(number)
            else:
                signal.pthread_kill(main, number)  # also wakes the thread if it waits

        threading.Timer(_AGAIN, send).start()

    return lost
