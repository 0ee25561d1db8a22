"""What every journal promises: the same suite for SQLite and for the one in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctorrent.errors import JournalError
from ctorrent.ports import Delete, Journal, Put, Write
from ctorrent.store.journal import open_journal
from ctorrent.testing.fake_journal import FakeJournal

Body = Callable[[Journal], Awaitable[None]]
Run = Callable[..., None]


async def _on_sqlite(path: Path, *bodies: Body) -> None:
    """Every body is one life of the node, ended cleanly."""
    for body in bodies:
        journal = await open_journal(path)
        try:
            await body(journal)
        finally:
            await journal.aclose()


async def _in_memory(*bodies: Body) -> None:
    journal = FakeJournal(sync_s=0.001)
    for body in bodies:
        journal.reopen()
        await body(journal)
        await journal.aclose()


@pytest.fixture(params=["sqlite", "memory"])
def lives(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    start = partial(trio.run, _on_sqlite, tmp_path / "data" / "journal.db")
    return start if request.param == "sqlite" else partial(trio.run, _in_memory)


def test_what_was_committed_is_read_in_this_life_and_the_next(lives: Run) -> None:
    async def write(journal: Journal) -> None:
        assert journal.get("jobs", b"a") is None
        await journal.commit([Put("jobs", b"a", b"1"), Put("results", b"a", b"2"), Put("jobs", b"", b"")])
        await read(journal)

    async def read(journal: Journal) -> None:
        assert journal.get("jobs", b"a") == b"1"
        assert journal.get("results", b"a") == b"2"
        assert journal.get("jobs", b"") == b""
        assert journal.scan("jobs") == [(b"", b""), (b"a", b"1")]

    lives(write, read)


def test_keys_order_bytewise_and_prefixes_end_where_they_should(lives: Run) -> None:
    keys = [b"", b"\x00", b"a", b"a\x00", b"a\xff", b"a\xff\xff", b"b", b"\xff", b"\xff\xff", b"\xff\xff\x01"]

    async def body(journal: Journal) -> None:
        await journal.commit([Put("s", key, key) for key in reversed(keys)])
        for prefix in keys:
            assert [key for key, _ in journal.scan("s", prefix)] == [key for key in keys if key.startswith(prefix)]
        assert [key for key, _ in journal.scan("s", b"a", limit=2)] == [b"a", b"a\x00"]
        assert journal.scan("other") == []

    lives(body)


def test_the_last_write_of_a_batch_counts(lives: Run) -> None:
    async def body(journal: Journal) -> None:
        await journal.commit([Put("s", b"k", b"1"), Delete("s", b"k"), Put("s", b"k", b"2"), Put("s", b"gone", b"x")])
        await journal.commit([Put("s", b"gone", b"y"), Delete("s", b"gone"), Delete("s", b"never there")])
        assert journal.scan("s") == [(b"k", b"2")]

    lives(body)


def test_a_commit_that_nobody_waits_for_is_seen_at_once_and_overwritten_in_order(lives: Run) -> None:
    async def body(journal: Journal) -> None:
        await journal.commit([Put("s", b"1", b"durable"), Put("s", b"2", b"durable")])
        await journal.commit([Put("s", b"1", b"quick"), Delete("s", b"2"), Put("s", b"3", b"quick")], durable=False)
        assert journal.scan("s") == [(b"1", b"quick"), (b"3", b"quick")]
        assert journal.get("s", b"2") is None
        await journal.commit([Put("s", b"3", b"later")])
        assert journal.scan("s", limit=2) == [(b"1", b"quick"), (b"3", b"later")]
        await journal.commit([Put("s", b"4", b"last")], durable=False)

    async def next_life(journal: Journal) -> None:
        assert journal.scan("s") == [(b"1", b"quick"), (b"3", b"later"), (b"4", b"last")]

    lives(body, next_life)


def test_a_key_written_quickly_again_and_again_never_goes_back(lives: Run) -> None:
    async def body(journal: Journal) -> None:
        for number in range(300):
            await journal.commit([Put("s", b"k", b"%d" % number)], durable=number % 50 == 7)
            await trio.sleep(0.001)  # so that what was written before lands now
            assert journal.get("s", b"k") == b"%d" % number
            assert journal.scan("s") == [(b"k", b"%d" % number)]

    lives(body)


def test_commits_of_many_tasks_all_arrive(lives: Run) -> None:
    async def body(journal: Journal) -> None:
        async def count(task: int) -> None:
            for turn in range(10):
                await journal.commit([Put("s", bytes((task, turn)), b"x")], durable=turn % 3 == 0)
                assert journal.get("s", bytes((task, turn))) == b"x"

        async with trio.open_nursery() as nursery:
            for task in range(50):
                nursery.start_soon(count, task)
        assert len(journal.scan("s")) == 500

    lives(body)


def test_a_cancelled_commit_harms_nothing(lives: Run) -> None:
    async def body(journal: Journal) -> None:
        async with trio.open_nursery() as nursery:
            for task in range(20):
                nursery.start_soon(journal.commit, [Put("s", bytes((task, 0)), b"x"), Put("s", bytes((task, 1)), b"x")])
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        await journal.commit([Put("s", b"\xff", b"after")])
        kept = [key for key, _ in journal.scan("s")]
        assert kept[-1] == b"\xff"
        assert all((key[:1] + b"\x01" in kept) == (key[:1] + b"\x00" in kept) for key in kept[:-1])  # whole or not at all

    lives(body)


def test_a_closed_journal_says_so(lives: Run) -> None:
    async def body(journal: Journal) -> None:
        await journal.aclose()
        with pytest.raises(JournalError, match="closed"):
            await journal.commit([Put("s", b"k", b"v")])
        with pytest.raises(JournalError, match="closed"):
            journal.get("s", b"k")

    lives(body)


_KEYS = st.binary(max_size=3)
_WRITES = st.one_of(
    st.builds(Put, st.sampled_from(["a", "b"]), _KEYS, st.binary(max_size=8)),
    st.builds(Delete, st.sampled_from(["a", "b"]), _KEYS),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(_WRITES, max_size=6), st.booleans()), max_size=12))
def test_it_is_a_map(lives: Run, commits: list[tuple[list[Write], bool]]) -> None:
    """Whatever is committed, reads agree with a dictionary after every commit."""

    async def body(journal: Journal) -> None:
        for space in "ab":
            await journal.commit([Delete(space, key) for key, _ in journal.scan(space)])
        model: dict[tuple[str, bytes], bytes] = {}
        for writes, durable in commits:
            await journal.commit(writes, durable)
            for write in writes:
                model.pop((write.space, write.key), None)
                if isinstance(write, Put):
                    model[write.space, write.key] = write.value
            for space in "ab":
                assert journal.scan(space) == sorted((k, v) for (s, k), v in model.items() if s == space)

    lives(body)


def test_in_memory_a_crash_loses_what_was_not_synced_and_only_that() -> None:
    async def body() -> None:
        journal = FakeJournal()
        await journal.commit([Put("s", b"1", b"quick")], durable=False)
        await journal.commit([Put("s", b"2", b"durable")])
        await journal.commit([Put("s", b"3", b"quick")], durable=False)
        await journal.commit([Put("s", b"4", b"quick")], durable=False)
        assert journal.unsynced() == 2
        journal.crash(survivors=1)
        assert [key for key, _ in journal.scan("s")] == [b"1", b"2", b"3"]
        journal.crash()
        assert [key for key, _ in journal.scan("s")] == [b"1", b"2", b"3"]

    trio.run(body)


def test_in_memory_a_crash_during_a_sync_acknowledges_nothing() -> None:
    async def body() -> None:
        journal = FakeJournal(sync_s=1.0)
        acknowledged: list[int] = []

        async def commit(number: int) -> None:
            with pytest.raises(JournalError, match="lost power"):
                await journal.commit([Put("s", bytes((number,)), b"x")])
                acknowledged.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(commit, number)
            await trio.sleep(0.5)
            journal.crash()
        assert (acknowledged, journal.scan("s")) == ([], [])
        await journal.commit([Put("s", b"k", b"v")])
        assert journal.get("s", b"k") == b"v"

    trio.run(body, clock=trio.testing.MockClock(autojump_threshold=0))


def test_in_memory_commits_made_during_a_sync_share_the_next() -> None:
    async def body() -> None:
        journal = FakeJournal(sync_s=1.0)
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(journal.commit, [Put("s", bytes((number,)), b"x")])
        assert journal.commits == 100
        assert journal.syncs <= 2

    trio.run(body, clock=trio.testing.MockClock(autojump_threshold=0))
