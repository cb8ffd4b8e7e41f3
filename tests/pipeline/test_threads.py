"""Order, bounds, failures and endings of the threads behind the pipeline."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from engine.pipeline.threads import Stopwatch, ordered_map, prefetch

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator


class Boom(Exception):
    """Error that a stage of these tests raises."""


@pytest.fixture(autouse=True)
def no_thread_left_alive() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()


class Source:
    """Counts the items taken from it, and remembers the thread that closed it."""

    def __init__(self, count: int, fail_at: int | None = None) -> None:
        self.drawn = 0
        self.closed_by: str | None = None
        self.opened_by: str | None = None
        self._count = count
        self._fail_at = fail_at

    def __call__(self) -> Generator[int]:
        self.opened_by = threading.current_thread().name
        try:
            for value in range(self._count):
                if value == self._fail_at:
                    raise Boom(f"at {value}")
                self.drawn += 1
                yield value
        finally:
            self.closed_by = threading.current_thread().name


def square(value: int) -> int:
    return value * value


def slow_square(value: int) -> int:
    time.sleep(0.002 * (value % 5))
    return value * value


def settle(source: Source) -> int:
    """Return the number of items taken, once it no longer changes."""
    drawn = -1
    while drawn != source.drawn:
        drawn = source.drawn
        time.sleep(0.03)
    return drawn


@pytest.mark.parametrize("depth", [1, 2, 8, 100])
@pytest.mark.parametrize("count", [0, 1, 7, 50])
def test_prefetch_keeps_values_and_order(count: int, depth: int) -> None:
    assert list(prefetch(range(count), depth)) == list(range(count))


@pytest.mark.parametrize("depth", [1, 2, 9])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_ordered_map_keeps_the_order_though_work_ends_out_of_order(
    workers: int, depth: int
) -> None:
    result = list(ordered_map(slow_square, range(30), workers, depth))
    assert result == [square(value) for value in range(30)]


def test_ordered_map_of_nothing_is_nothing() -> None:
    assert list(ordered_map(square, [], 2, 4)) == []


@pytest.mark.parametrize("depth", [1, 3])
def test_prefetch_never_holds_more_than_its_depth(depth: int) -> None:
    source = Source(50)
    with closing(prefetch(source(), depth)) as stream:
        for taken in range(1, 5):
            next(stream)
            # `taken` are in the reader's hands, `depth` wait.
            assert settle(source) <= taken + depth


def test_ordered_map_never_holds_more_than_its_depth() -> None:
    source = Source(50)
    with closing(ordered_map(slow_square, source(), 2, 4)) as stream:
        for taken in range(1, 10):
            next(stream)
            assert source.drawn <= taken + 4


def test_ordered_map_runs_in_several_threads() -> None:
    both = threading.Barrier(2, timeout=5)
    assert len(list(ordered_map(lambda _: both.wait(), range(4), 2, 4))) == 4


def test_ordered_map_hands_on_what_is_done_before_its_window_is_full() -> None:
    asked = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        time.sleep(0.05)
        yield 2
        # The first value must be in the reader's hands though the window has room for eight.
        assert asked.wait(5)
        yield 3

    with closing(ordered_map(square, source(), 1, 8)) as stream:
        assert next(stream) == 1
        asked.set()
        assert list(stream) == [4, 9]


@pytest.mark.parametrize("at", [0, 1, 5])
def test_prefetch_raises_the_source_failure_after_the_values_before_it(at: int) -> None:
    source = Source(10, fail_at=at)
    seen: list[int] = []
    with pytest.raises(Boom, match=f"at {at}"):
        seen.extend(prefetch(source(), 2))
    assert seen == list(range(at))
    assert source.closed_by is not None


def test_ordered_map_raises_the_source_failure_and_ends_its_workers() -> None:
    source = Source(10, fail_at=5)
    with pytest.raises(Boom, match="at 5"):
        list(ordered_map(slow_square, source(), 2, 3))


def test_ordered_map_raises_a_worker_failure_at_its_turn_and_closes_the_source() -> None:
    source = Source(100)

    def fail_at_three(value: int) -> int:
        if value == 3:
            raise Boom(f"worker {value}")
        return value

    seen: list[int] = []
    with pytest.raises(Boom, match="worker 3"):
        seen.extend(ordered_map(fail_at_three, source(), 2, 4))
    assert seen == [0, 1, 2]
    assert source.closed_by is not None
    assert source.drawn < 20


def test_prefetch_closed_before_its_start_starts_nothing() -> None:
    source = Source(3)
    prefetch(source(), 2).close()
    assert source.drawn == 0


@pytest.mark.parametrize("taken", [1, 3])
def test_prefetch_closed_early_closes_its_source_in_the_thread_that_ran_it(taken: int) -> None:
    source = Source(1000)
    stream = prefetch(source(), 2)
    for _ in range(taken):
        next(stream)
    stream.close()
    assert source.closed_by == source.opened_by == "engine-prefetch"
    assert source.drawn <= taken + 2


def test_prefetch_waits_for_a_source_that_is_busy_when_it_is_closed() -> None:
    entered = threading.Event()
    left = threading.Event()

    def source() -> Iterator[int]:
        yield 0
        entered.set()
        time.sleep(0.05)
        left.set()
        yield 1

    stream = prefetch(source(), 1)
    next(stream)
    assert entered.wait(5)
    stream.close()
    assert left.is_set()


def test_a_failure_of_the_source_after_the_close_is_dropped() -> None:
    def source() -> Iterator[int]:
        try:
            yield 0
            yield 1
        finally:
            raise Boom("at the close")

    stream = prefetch(source(), 1)
    next(stream)
    stream.close()


def test_a_failure_in_the_source_closing_at_its_end_is_raised() -> None:
    def source() -> Iterator[int]:
        try:
            yield 0
        finally:
            raise Boom("at the end")

    with pytest.raises(Boom, match="at the end"):
        list(prefetch(source(), 1))


def chain(source: Source, watch: Stopwatch) -> Generator[int]:
    """Stages linked as the pipeline links them."""
    first = prefetch(watch.timed("read", source()), 2)
    middle = prefetch((value + 1 for value in watch.timed(None, first)), 2)
    return ordered_map(watch.call("work", slow_square), middle, 2, 4)


def test_a_chain_gives_all_in_order() -> None:
    source = Source(40)
    assert list(chain(source, Stopwatch())) == [square(value + 1) for value in range(40)]


@pytest.mark.parametrize("at", [0, 1, 20])
def test_a_chain_passes_a_failure_down(at: int) -> None:
    with pytest.raises(Boom, match=f"at {at}"):
        list(chain(Source(40, fail_at=at), Stopwatch()))


@pytest.mark.parametrize("taken", [1, 5])
def test_a_chain_whose_sink_fails_ends_every_stage(taken: int) -> None:
    source = Source(1000)
    stream = chain(source, Stopwatch())
    with pytest.raises(Boom, match="sink"), closing(stream):  # noqa: PT012 - the sink is the block
        for count, _ in enumerate(stream, start=1):
            if count == taken:
                raise Boom("sink")
    assert source.closed_by is not None
    assert source.drawn <= taken + 2 + 1 + 2 + 4


@pytest.mark.parametrize(("workers", "depth"), [(0, 1), (1, 0)])
def test_ordered_map_refuses_sizes_below_one(workers: int, depth: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        list(ordered_map(square, [1], workers, depth))


def test_prefetch_refuses_a_depth_below_one() -> None:
    with pytest.raises(ValueError, match="depth is 0"):
        list(prefetch([1], 0))


def test_a_stage_is_not_charged_for_the_stages_it_waits_for() -> None:
    watch = Stopwatch()

    def slow() -> Iterator[int]:
        for value in range(3):
            time.sleep(0.02)
            yield value

    with watch.stage("encode"):
        for _ in watch.timed("decode", slow()):
            time.sleep(0.01)
    seconds = watch.seconds
    assert 0.06 <= seconds["decode"] < 0.2
    assert 0.03 <= seconds["encode"] < 0.055


def test_waiting_named_none_is_nobody_s() -> None:
    watch = Stopwatch()
    with watch.stage("encode"), watch.stage(None):
        time.sleep(0.02)
    assert watch.seconds.keys() == {"encode"}
    assert watch.seconds["encode"] < 0.015


def test_the_times_of_threads_add_up() -> None:
    watch = Stopwatch()
    list(ordered_map(watch.call("swap", lambda _: time.sleep(0.03)), range(4), 2, 4))
    assert watch.seconds["swap"] >= 0.12
