"""Ctrl-C, SIGTERM and SIGHUP, from the command's first line to its last.

Nothing heavy is imported here: until `take` has run, a signal ends Python as it likes.
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
_PATIENCE: Final = 5.0  # seconds for the way out, in which further signals change nothing
_AGAIN: Final = 0.02  # seconds until a signal is sent again whose exception was lost


class Ended(BaseException):
    """The process was told to end. `code` is the exit code, `words` say what happened."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.code = 128 + number
        self.done = "stopped" if number == signal.SIGINT else "ended"
        self.words = f"error: {self.done}; nothing was left half-written."


class _Process:
    """What a signal finds this process at."""

    unwinding = 0  # how many blocks are open that clean up after themselves
    ended: Ended | None = None  # by a signal that came already
    since = 0.0  # when it came


def take() -> None:
    """Makes the signals end this process with their code and without a traceback.

    Those that are ignored, as `nohup` has it, or handled already stay so.
    """
    for number in _numbers():
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)
    sys.unraisablehook = _sent_again(sys.unraisablehook)


def heeded() -> list[int]:
    """The signals that end this process, without those that it was told to ignore."""
    return [number for number in _numbers() if signal.getsignal(number) != signal.SIG_IGN]


def let_finish() -> None:
    """Ignores the signals: the outcome is settled, and what is left is the interpreter's end."""
    for number in _numbers():
        if signal.getsignal(number) == _end:
            signal.signal(number, signal.SIG_IGN)


class unwound:  # noqa: N801 - a context manager; contextlib takes its time to import
    """Inside, a signal raises `Ended`, so that what is partial is removed on the way out.

    Imports belong outside: there is nothing to clean up, and modules written in C do not all
    survive an exception at any point of their loading.
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
    """Ends the process here and now."""
    try:  # noqa: SIM105 - contextlib takes its time to import
        os.write(2, f"{words}\n".encode())
    except OSError:
        pass  # the terminal may be what went away
    os._exit(code)


def _sent_again(
    before: Callable[[sys.UnraisableHookArgs], object],
) -> Callable[[sys.UnraisableHookArgs], object]:
    """A hook that sends a signal again whose exception came where none can be raised."""

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
                signal.pthread_kill(main, number)  # it also wakes the thread, where it waits

        threading.Timer(_AGAIN, send).start()

    return lost
