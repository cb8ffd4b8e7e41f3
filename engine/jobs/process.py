"""Child processes that run tasks, so that a crash in a codec fails one task only.

A child is started by its first task, stays warm for further ones, and is replaced after it has
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
from typing import IO, Any, Final, Protocol, TypeAlias

from engine.closeable import Closeable
from engine.errors import Cancelled, EngineError, ProcessDied

TICK_SECONDS: Final = 0.25  # between two progress reports while the child is silent
GRACE_SECONDS: Final = 10.0  # that a child has to end its task after it was asked to stop
# Environment variables that children are not given: a crash in native code may show them.
_SECRETS = frozenset({"FACESWAP_ENGINE_API_KEY", "SEGMIND_API_KEY"})
_MAX_LINE = 64 << 20  # bytes of one message

# A progress callback: takes the number of frames done and their total, or None where it is unknown.
# It raises to end the task.
ReportProgress: TypeAlias = Callable[[int, int | None], None]
# A function that a child calls: its argument and its result are values that JSON can hold.
Task: TypeAlias = Callable[[Any, ReportProgress], Any]
_Message: TypeAlias = dict[str, Any]

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from engine.jobs.process import run_child; run_child()"
)
_CRASHES = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV")


class TaskError(Exception):
    """An error in the child other than an EngineError; its note holds the child's traceback."""


class TaskRunner(Protocol):
    """Runs tasks in another process: a `TaskProcess` or a `TaskPool`."""

    def call(self, task: str, argument: Any, report: ReportProgress) -> Any:
        """Run a task; see `TaskProcess.call`."""


class TaskProcess(Closeable):
    """One child process; a context manager that ends the child. Threads take turns.

    Args:
        grace: seconds that a task has to end after it was asked to stop; then its child is killed.
    """

    def __init__(self, *, grace: float = GRACE_SECONDS) -> None:
        self._grace = grace
        self._is_closed = False
        self._lock = threading.Lock()
        self._children: list[_Child] = []
        # Registered here and not with the child: exit handlers run in the reverse order, and this
        # one must run after those of the child's users.
        self._end = weakref.finalize(self, _end_all, self._children, os.getpid())

    def close(self) -> None:
        """End the child, also in the middle of a task, which then raises ProcessDied."""
        self._is_closed = True
        self._end()

    def call(self, task: str, argument: Any, report: ReportProgress) -> Any:
        """Call a function in the child, named "module:function", and return its result.

        `report` is called in this thread when the child reports progress, and at intervals while
        it is silent. When `report` raises, the child is asked to end the task, and is killed where
        it does not.

        A child that dies at its first task died of that task. An older child may have been damaged
        by an earlier task, so the task is tried again in a new child.

        Raises:
            ProcessDied: The task ended a new child.
            EngineError: The task raised it.
            TaskError: The task raised another error.
            RuntimeError: This TaskProcess is closed.
        """
        with self._lock:
            while True:
                child = self._child()
                is_new = not child.is_used
                try:
                    return child.run(task, argument, report)
                except ProcessDied:
                    self._drop()
                    if is_new or self._is_closed:
                        raise

    def _child(self) -> _Child:
        """Return the living child, or start one."""
        children = [child for child in self._children if child.is_alive()]
        if not children:
            self._drop()
            children = [_Child(self._grace)]
            self._children.extend(children)
        # Checked last, as `close` ends only the children that it sees.
        if self._is_closed:
            self._drop()
            raise RuntimeError("This TaskProcess is closed; use a new one.")
        return children[0]

    def _drop(self) -> None:
        _end_all(self._children, os.getpid())


class TaskPool(Closeable):
    """Up to `size` children, each started when all others are busy; a context manager.

    `grace` is as in `TaskProcess`.
    """

    def __init__(self, size: int, *, grace: float = GRACE_SECONDS) -> None:
        self._processes = tuple(TaskProcess(grace=grace) for _ in range(size))
        self._idle: queue.LifoQueue[TaskProcess] = queue.LifoQueue()
        for process in self._processes:
            self._idle.put(process)

    def close(self) -> None:
        """End all children."""
        for process in self._processes:
            process.close()

    def call(self, task: str, argument: Any, report: ReportProgress) -> Any:
        """Run a task in an idle child; raise as `TaskProcess.call` does."""
        process = self._idle.get()
        try:
            return process.call(task, argument, report)
        finally:
            self._idle.put(process)


class _Child:
    """The parent's end of one child."""

    def __init__(self, grace: float) -> None:
        self.is_used = False
        self._grace = grace
        self._process = _start()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._messages: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        # Only a thread can read pipes with a timeout on every system.
        self._reader = threading.Thread(
            target=_read_messages,
            args=(self._stdout, self._messages),
            name="engine-child",
            daemon=True,
        )
        self._reader.start()

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def run(self, task: str, argument: Any, report: ReportProgress) -> Any:
        """Run one task; see `TaskProcess.call`."""
        self.is_used = True
        try:
            return self._exchange(task, argument, report)
        except Exception:
            raise
        except BaseException:
            # An interrupt may come at any point. A child that is still busy would answer the next
            # task with this one's result.
            self.end()
            raise

    def _exchange(self, task: str, argument: Any, report: ReportProgress) -> Any:
        self._send({"task": task, "argument": argument})
        latest: tuple[int, int | None] = (0, None)
        while True:
            message = self._receive(TICK_SECONDS)
            if message is not None and "progress" not in message:
                return _result(message)
            if message is not None:
                latest = (message["progress"][0], message["progress"][1])
            try:
                report(*latest)
            except Exception:
                self._stop()
                raise

    def end(self) -> None:
        """Kill the child, which has nothing to save, and wait for its end."""
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):
            self._stdin.close()
        self._reader.join()
        self._stdout.close()

    def _stop(self) -> None:
        """Ask the child to end its task; kill it where it does not."""
        try:
            self._send({"stop": True})
            end = time.monotonic() + self._grace
            while time.monotonic() < end:
                message = self._receive(TICK_SECONDS)
                if message is not None and "progress" not in message:
                    return
        except ProcessDied:
            pass
        self.end()

    def _send(self, message: _Message) -> None:
        try:
            _write(self._stdin, message)
        except BrokenPipeError:
            raise self._death() from None

    def _receive(self, seconds: float) -> _Message | None:
        """Return the next message, or None after a timeout."""
        try:
            message = self._messages.get(timeout=seconds)
        except queue.Empty:
            return None
        if message is None:
            raise self._death()
        return message

    def _death(self) -> ProcessDied:
        """Return the error for a child that died; kill one that only closed its pipe."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self.end()
            return ProcessDied(
                "The child process sent a message that cannot be read and was ended; try again."
            )
        return ProcessDied(_describe_death(code))


def run_child() -> None:
    """Run the parent's tasks until the parent closes the pipe or dies."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGTTIN", "SIGTTOU"):
        # A signal to the process group reaches the parent, too, which decides for its child. A
        # terminal stops background groups that read from it or write to it (SIGTTIN, SIGTTOU).
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if sys.stderr is not None:
        faulthandler.enable()
    commands, replies = _take_pipes()
    tasks: queue.SimpleQueue[_Message] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_read_commands, args=(commands, tasks, stop), daemon=True).start()

    def report(done: int, total: int | None) -> None:
        if stop.is_set():
            raise Cancelled("The parent asked to stop.")
        _write(replies, {"progress": [done, total]})

    while True:
        message = tasks.get()
        try:
            module, _, function = message["task"].partition(":")
            task: Task = getattr(import_module(module), function)
            reply = {"result": task(message["argument"], report)}
        except Exception as error:  # noqa: BLE001 - sent to the parent
            reply = {"error": _describe_error(error)}
        _write(replies, reply)


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Return the pipes to the parent; code that reads stdin or prints gets the null device."""
    commands, replies = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return os.fdopen(commands, "rb"), os.fdopen(replies, "wb")


def _read_commands(
    commands: IO[bytes], tasks: queue.SimpleQueue[_Message], stop: threading.Event
) -> None:
    """Queue tasks and set `stop` as the parent asks; exit when it closes the pipe."""
    for line in commands:
        message = json.loads(line)
        if "stop" in message:
            stop.set()
        else:
            # Cleared here and not where the task begins, as a stop may come before that.
            stop.clear()
            tasks.put(message)
    # Nobody waits for the running task, and it may be deep in native code.
    os._exit(0)


def _write(pipe: IO[bytes], message: _Message) -> None:
    pipe.write(json.dumps(message).encode() + b"\n")
    pipe.flush()


def _describe_error(error: Exception) -> _Message:
    return {
        "classes": [kind.__name__ for kind in type(error).__mro__],
        "message": str(error),
        "trace": "".join(traceback.format_exception(error)),
    }


def _start() -> subprocess.Popen[bytes]:
    """Start a child that finds the same modules as this process."""
    here = str(Path(__file__).parents[2])
    paths = [*(os.path.abspath(path) for path in sys.path), here]  # noqa: PTH100 - of a string
    return subprocess.Popen(  # noqa: S603 - this interpreter and this package
        # Without -P, a file json.py in the current folder would shadow the standard library's.
        [sys.executable, "-P", "-c", _BOOT, json.dumps(paths)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={name: value for name, value in os.environ.items() if name not in _SECRETS},
        # A process group of its own, so that Ctrl-C in a terminal reaches the parent only.
        process_group=0 if os.name == "posix" else None,
    )


def _read_messages(stdout: IO[bytes], messages: queue.SimpleQueue[_Message | None]) -> None:
    """Queue a child's messages, then None at the end or at a line that is not JSON."""
    with suppress(ValueError):
        while line := stdout.readline(_MAX_LINE):
            messages.put(json.loads(line))
    messages.put(None)


def _end_all(children: list[_Child], owner: int) -> None:
    # A process forked from the owner inherits the list, but the children are not its own.
    if os.getpid() == owner:
        # Another thread may empty the list first.
        with suppress(IndexError):
            while True:
                children.pop().end()


def _result(message: _Message) -> Any:
    """Return a task's result, or raise its error."""
    if "result" in message:
        return message["result"]
    described = message["error"]
    known = {kind.__name__: kind for kind in _subclasses(EngineError)}
    for name in described["classes"]:
        if name in known:
            raise known[name](described["message"])
    error = TaskError(f"{described['classes'][0]}: {described['message']}".rstrip(": "))
    error.add_note(described["trace"])
    raise error


def _subclasses(kind: type[EngineError]) -> Iterator[type[EngineError]]:
    """Yield a class and all of its subclasses."""
    yield kind
    for subclass in kind.__subclasses__():
        yield from _subclasses(subclass)


def _describe_death(code: int) -> str:
    """Return the sentence of a ProcessDied; a negative exit code is the number of a signal."""
    if code >= 0:
        return (
            f"The child process ended with exit code {code} before its task was done; see its last "
            "messages in the log."
        )
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    if name == "SIGKILL":
        return (
            "The child process was ended by SIGKILL: somebody killed it, or this machine may have "
            "run out of memory. Try again, with smaller files if it recurs."
        )
    if name in _CRASHES:
        return (
            f"The child process crashed ({name}) in native code, most likely while it decoded or "
            "encoded the files; convert them to another format and try again."
        )
    return f"The child process was ended by {name} before its task was done; try again."
