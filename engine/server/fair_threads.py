"""Share threads fairly among clients, so that slow files of one client do not stall another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from engine.server.responses import RETRY_SECONDS, Refusal

_Result = TypeVar("_Result")


@dataclass(slots=True)
class _ClientQueue:
    """Calls of one client.

    Attributes:
        slots: held by the running calls.
        length: number of running and waiting calls.
    """

    slots: asyncio.Semaphore
    length: int = 0


class FairThreadPool:
    """Runs blocking calls in threads; for one event loop only.

    Args:
        workers: number of threads.
        per_client: maximum number of one client's calls that run at once.
        waiting: maximum number of one client's calls that wait.
    """

    def __init__(self, *, workers: int, per_client: int, waiting: int) -> None:
        self._per_client = per_client
        self._max_length = per_client + waiting
        self._free = asyncio.Semaphore(workers)
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="engine-submit")
        self._queues: dict[str, _ClientQueue] = {}

    @asynccontextmanager
    async def slot(self, client: str) -> AsyncGenerator[None]:
        """Wait for a free thread for the client; it is reserved until the context ends.

        Raises:
            Refusal: 429 where too many of the client's calls wait.
        """
        queue = self._queues.setdefault(client, _ClientQueue(asyncio.Semaphore(self._per_client)))
        if queue.length >= self._max_length:
            raise Refusal(
                429,
                f"{queue.length} of your requests are being checked or wait for that, the maximum "
                "for one client; try again when some of them are answered.",
                {"retry-after": str(RETRY_SECONDS)},
            )
        queue.length += 1
        try:
            async with queue.slots, self._free:
                yield
        finally:
            queue.length -= 1
            if not queue.length:
                del self._queues[client]

    async def run(self, call: Callable[[], _Result]) -> _Result:
        """Run a call in a thread and return its result; use it inside a slot."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def close(self) -> None:
        """Take no more calls; the threads end when the running ones are done."""
        self._threads.shutdown(wait=False, cancel_futures=True)
