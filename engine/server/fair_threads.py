"""Share the threads that check files among clients, so that slow files of one stall no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from engine.server.responses import RETRY_SECONDS, Refusal

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class _Queue:
    """One client's calls. Those at work hold `turns`; `length` counts the waiting ones, too."""

    turns: asyncio.Semaphore
    length: int = 0


class Turns:
    """Run blocking calls in threads of its own.

    At most `at_once` run at once, and `each` of one client; `in_line` more of the client's wait
    for its turns. One event loop alone may use it.
    """

    def __init__(self, *, at_once: int, each: int, in_line: int) -> None:
        self._each = each
        self._most = each + in_line
        self._free = asyncio.Semaphore(at_once)
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="engine-submit")
        self._lines: dict[str, _Queue] = {}

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncGenerator[None]:
        """Wait for a turn of the client, which lasts until the context is left.

        Raises:
            Refusal: 429 where too many of the client's calls wait.
        """
        line = self._lines.setdefault(client, _Queue(asyncio.Semaphore(self._each)))
        if line.length >= self._most:
            raise Refusal(
                429,
                f"{line.length} of your requests are being looked at or wait for that, which are "
                "the most that one client may have; send more when some are answered.",
                {"retry-after": str(RETRY_SECONDS)},
            )
        line.length += 1
        try:
            async with line.turns, self._free:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[client]

    async def run(self, call: Callable[[], _Answer]) -> _Answer:
        """Run a call in a thread and return its answer; use it inside a turn."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Stop taking calls; the threads end once those at work are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)
