"""A process that does tasks for this one, so that a crash in a codec costs one task only.

The child is started at its first task, stays warm for further ones, and is replaced when it has
died. Both sides write lines of JSON to the child's standard input and output. The child is a new
interpreter (no fork: threads, ONNX Runtime and CUDA do not survive one) and never imports the
parent's `__main__`. It ends when its standard input is closed, so it does not outlive its parent.
"""

from __future__ import annotations

import faulthandler
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Protocol, Self, TypeAlias

from engine.errors import Cancelled, EngineError, ProcessDied

TICK_SECONDS: Final = 0.25  # between two calls of `tell` while the child is silent
GRACE_SECONDS: Final = 10.0  # that a child has to end its task when it is asked to
# Environment variables that children are not given: a crash in native code may show them.
_SECRETS = frozenset({"FACESWAP_ENGINE_API_KEY", "SEGMIND_API_KEY"})
_LONGEST = 64 << 20  # bytes of one answer

# Called with the frames done and their number, if it is known; raises to end the task.
Tell: TypeAlias = Callable[[int, int | None], None]
# A function that a child calls: it takes and returns what JSON can hold.
Task: TypeAlias = Callable[[Any, Tell], Any]
_Message: TypeAlias = dict[str, Any]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from engine.jobs.process import attend; attend()"
)
_CRASHES = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")


class Unexpected(Exception):
    """An error in the child that is no EngineError; its note holds the child's traceback."""


class Tasks(Protocol):
    """What does tasks in another process: a `TaskProcess` or a `TaskPool`."""

    def call(self, task: str, given: Any, tell: Tell) -> Any:
        """Does a task; see `TaskProcess.call`."""


class TaskProcess:
    """One child. Threads take turns; a context manager, whose end is the child's.

    A task that is to stop has `grace` seconds for it before its child is killed.
    """

    def __init__(self, *, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._is_closed = False
        self._lock = threading.Lock()
        self._children: list[_Child] = []
        # Made here, and not with the child: it must run after the exit handlers of those who use
        # the child, and these run in the reverse order.
        self._end = weakref.finalize(self, _end_all, self._children, os.getpid())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the child, also in the middle of a task, which then raises a ProcessDied."""
        self._is_closed = True
        self._end()

    def call(self, task: str, given: Any, tell: Tell) -> Any:
        """Calls a function of the child, named as "module:function", and returns its answer.

        `tell` is called in this thread when the child tells of progress, and at intervals while it
        is silent. When it raises, the child is asked to end the task, and killed where it does not.

        A child that dies at its first task was brought down by it. One that did others before may
        have been damaged by those, so that the task is tried again in a new child.

        Raises:
            ProcessDied: The task brought a new child down.
            EngineError: The task raised it.
            Unexpected: The task raised another error.
            RuntimeError: The process was closed before.
        """
        with self._lock:
            while True:
                child = self._child()
                is_new = not child.has_begun
                try:
                    return child.do(task, given, tell)
                except ProcessDied:
                    self._drop()
                    if is_new or self._is_closed:
                        raise

    def _child(self) -> _Child:
        """The child that is alive, or a new one."""
        children = [child for child in self._children if child.is_alive()]
        if not children:
            self._drop()
            children = [_Child(self._grace)]
            self._children.extend(children)
        # Only now: `close` ends the children that it sees.
        if self._is_closed:
            self._drop()
            raise RuntimeError("This TaskProcess is closed; use a new one.")
        return children[0]

    def _drop(self) -> None:
        _end_all(self._children, os.getpid())


class TaskPool:
    """Several children, of which as many are started as work at once; a context manager.

    `grace` is as in `TaskProcess`.
    """

    def __init__(self, size: int, *, grace: float = GRACE_SECONDS) -> None:
        self._processes = tuple(TaskProcess(grace=grace) for _ in range(size))
        self._idle: queue.LifoQueue[TaskProcess] = queue.LifoQueue()
        for process in self._processes:
            self._idle.put(process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.close()

    def call(self, task: str, given: Any, tell: Tell) -> Any:
        """Does a task in a child that has none. Raises as `TaskProcess.call` does."""
        process = self._idle.get()
        try:
            return process.call(task, given, tell)
        finally:
            self._idle.put(process)


class _Child:
    """The parent's side of one child."""

    def __init__(self, grace: float) -> None:
        self.has_begun = False
        self._grace = grace
        self._process = _started()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._messages: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        # Only a thread reads pipes with a time limit on every system.
        self._reader = threading.Thread(
            target=_read, args=(self._stdout, self._messages), name="engine-child", daemon=True
        )
        self._reader.start()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def do(self, task: str, given: Any, tell: Tell) -> Any:
        """Does one task; see `TaskProcess.call`."""
        self.has_begun = True
        try:
            return self._followed(task, given, tell)
        except Exception:
            raise
        except BaseException:
            # Whatever the interrupt fell on: a child at work would answer the next task with this
            # one's result.
            self.end()
            raise

    def _followed(self, task: str, given: Any, tell: Tell) -> Any:
        self._send({"task": task, "given": given})
        latest: tuple[int, int | None] = (0, None)
        while True:
            message = self._received(TICK_SECONDS)
            if message is not None and "told" not in message:
                return _answer(message)
            if message is not None:
                latest = (message["told"][0], message["told"][1])
            try:
                tell(*latest)
            except Exception:
                self._stop()
                raise

    def end(self) -> None:
        """Kills the child, which has nothing to save, and waits for its end."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._reader.join()
        self._stdout.close()

    def _stop(self) -> None:
        """Asks the child to end its task, and kills it where it does not."""
        try:
            self._send({"stop": True})
            end = time.monotonic() + self._grace
            while time.monotonic() < end:
                message = self._received(TICK_SECONDS)
                if message is not None and "told" not in message:
                    return
        except ProcessDied:
            pass
        self.end()

    def _send(self, message: _Message) -> None:
        try:
            _write(self._stdin, message)
        except BrokenPipeError:
            raise self._death() from None

    def _received(self, seconds: float) -> _Message | None:
        """The next message, or None where none came in time."""
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            return None
        if message is None:
            raise self._death()
        return message

    def _death(self) -> ProcessDied:
        """The error that says how the child died; one that went mute is killed."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.end()
            return ProcessDied("The process that did this sent no sense and was ended; try again.")
        return ProcessDied(_how_it_died(code))


def attend() -> None:
    """Does the parent's tasks until the parent closes the pipe or dies."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGTTIN", "SIGTTOU"):
        # Whoever ends a whole group of processes ends the parent, which decides for its child. A
        # terminal would halt a group that is not in its foreground when it writes.
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.stderr is not None:
        faulthandler.enable()
    commands, answers = _pipes()
    asked: queue.SimpleQueue[_Message] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_obey, args=(commands, asked, stop), daemon=True).start()

    def tell(done: int, total: int | None) -> None:
        if stop.is_set():
            raise Cancelled("The parent asked to stop.")
        _write(answers, {"told": [done, total]})

    while True:
        order = asked.get()
        try:
            module, _, function = order["task"].partition(":")
            task: Task = getattr(import_module(module), function)
            answer = {"made": task(order["given"], tell)}
        except Exception as error:  # noqa: BLE001 - the parent must hear of it
            answer = {"failed": _described(error)}
        _write(answers, answer)


def _pipes() -> tuple[IO[bytes], IO[bytes]]:
    """The pipes to the parent, out of the way of code that reads or prints in this process."""
    commands, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return os.fdopen(commands, "rb"), os.fdopen(answers, "wb")


def _obey(commands: IO[bytes], asked: queue.SimpleQueue[_Message], stop: threading.Event) -> None:
    for line in commands:
        message = json.loads(line)
        if "stop" in message:
            stop.set()
        else:
            # Here and not where the task begins: a stop may come before that.
            stop.clear()
            asked.put(message)
    # Nobody waits for the task in work, and it may be deep in native code.
    os._exit(0)


def _write(pipe: IO[bytes], message: _Message) -> None:
    pipe.write(json.dumps(message).encode() + b"\n")
    pipe.flush()


def _described(error: Exception) -> _Message:
    return {
        "kinds": [kind.__name__ for kind in type(error).__mro__],
        "message": str(error),
        "trace": "".join(traceback.format_exception(error)),
    }


def _started() -> subprocess.Popen[bytes]:
    """A new child, which finds the same modules as this process."""
    here = str(Path(__file__).parents[2])
    paths = [*(os.path.abspath(path) for path in sys.path), here]  # noqa: PTH100 - of a string
    return subprocess.Popen(  # noqa: S603 - this interpreter and this package
        # Without -P, a file json.py in the current folder would be taken for the library.
        [sys.executable, "-P", "-c", _BOOT, json.dumps(paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in _SECRETS},
        # A group of its own, so that Ctrl-C in a terminal is the parent's alone.
        process_group=0 if os.name == "posix" else None,
    )


def _read(stdout: IO[bytes], messages: queue.SimpleQueue[_Message | None]) -> None:
    """Puts what a child sends into `messages`, and None at its end or where it makes no sense."""
    with suppress(ValueError):
        while line := stdout.readline(_LONGEST):
            messages.put(json.loads(line))
    messages.put(None)


def _end_all(children: list[_Child], owner: int) -> None:
    # A process that was forked from the owner has the list, and the children are not its own.
    if os.getpid() == owner:
        # Another thread may end some of them.
        with suppress(IndexError):
            while True:
                children.pop().end()


def _answer(message: _Message) -> Any:
    """What a task returned, or its error raised."""
    if "made" in message:
        return message["made"]
    failed = message["failed"]
    known = {kind.__name__: kind for kind in _kinds(EngineError)}
    for name in failed["kinds"]:
        if name in known:
            raise known[name](failed["message"])
    error = Unexpected(f"{failed['kinds'][0]}: {failed['message']}".rstrip(": "))
    error.add_note(failed["trace"])
    raise error


def _kinds(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _how_it_died(code: int) -> str:
    if code >= 0:
        return (
            f"The process that did this ended with the exit code {code} before it was done; its "
            "last words are in the log."
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return (
            "The process that did this was ended by SIGKILL: somebody killed it, or this "
            "machine's memory may have been short. Try again, with smaller files if it recurs."
        )
    if name in _CRASHES:
        return (
            f"The process that did this crashed ({name}) in native code, most likely while it "
            "decoded or encoded the files; convert them to another format and try again."
        )
    return f"The process that did this was ended by {name} before it was done; try again."
