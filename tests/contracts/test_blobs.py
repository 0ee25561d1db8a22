"""What every blob store promises: the same suite for the folder and for the one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest
import trio

from ctorrent.errors import DiskFull, LimitExceeded, LocalError, Malformed, Unavailable
from ctorrent.model.ids import Digest
from ctorrent.seal import digest
from ctorrent.store.blobs import BlobRules, Blobs, open_blobs
from ctorrent.testing.fake_blobs import FakeBlobs

Store = Blobs | FakeBlobs
Run = Callable[[Callable[[Store], Awaitable[None]]], None]
QUOTA = 40 << 20


def name(data: bytes) -> Digest:
    return Digest(digest("ctorrent/blob/1", data))


async def _in_folder(folder: Path, body: Callable[[Store], Awaitable[None]]) -> None:
    await body(await open_blobs(folder, BlobRules(quota_bytes=QUOTA)))


@pytest.fixture(params=["folder", "memory"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    if request.param == "folder":
        return partial(trio.run, _in_folder, tmp_path / "blobs")
    return lambda body: trio.run(body, FakeBlobs(QUOTA))


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await trio.lowlevel.checkpoint()
        yield part


@pytest.mark.parametrize("size", [0, 1, 256 << 10, (1 << 20) + 1, (4 << 20) + 1])
def test_bytes_come_back_under_their_hash(run: Run, size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    data = data[:size]

    async def body(store: Store) -> None:
        assert await store.put(data) == name(data)
        assert await store.put(data) == name(data)
        assert store.size(name(data)) == size
        assert await store.get(name(data), size) == data
        assert await store.read(name(data), size // 2, 100) == data[size // 2 : size // 2 + 100]
        assert await store.read(name(data), size + 5, 100) == b""

    run(body)


def test_what_is_absent_is_a_key_error(run: Run) -> None:
    async def body(store: Store) -> None:
        ghost = name(b"ghost")
        assert store.size(ghost) is None
        assert not await store.check(ghost)
        with pytest.raises(KeyError):
            await store.get(ghost, 1 << 20)
        with pytest.raises(KeyError):
            await store.read(ghost, 0, 1)
        with pytest.raises(KeyError):
            store.path(ghost)

    run(body)


def test_more_than_the_caller_takes_is_refused(run: Run) -> None:
    async def body(store: Store) -> None:
        blob = await store.put(b"12345")
        with pytest.raises(LimitExceeded):
            await store.get(blob, 4)

    run(body)


def test_the_least_recently_used_goes_first_and_pins_hold(run: Run) -> None:
    parts = [bytes((number,)) * (10 << 20) for number in range(6)]

    async def body(store: Store) -> None:
        store.pin(name(parts[0]), "job")  # before it is here
        store.pin(name(parts[0]), "result")
        for part in parts[:4]:
            await store.put(part)
        await store.read(name(parts[1]), 0, 1)
        await store.put(parts[4])
        assert [store.size(name(part)) is not None for part in parts] == [True, True, False, True, True, False]
        store.unpin(name(parts[0]), "job")
        await store.put(parts[5])
        assert [store.size(name(part)) is not None for part in parts] == [True, True, False, False, True, True]
        store.unpin(name(parts[0]), "result")
        await store.put(parts[2])
        assert store.size(name(parts[0])) is None

    run(body)


def test_a_store_full_of_pins_refuses(run: Run) -> None:
    async def body(store: Store) -> None:
        store.pin(await store.put(b"a" * (30 << 20)), "job")
        with pytest.raises(LocalError, match="full"):
            await store.put(b"b" * (11 << 20))
        with pytest.raises(LocalError, match="full"):
            await store.receive(name(b"x"), 11 << 20, chunks(b"x"))
        await store.put(b"c" * (10 << 20))

    run(body)


def test_two_that_come_at_once_do_not_take_the_same_room(run: Run) -> None:
    """Four of 15 MB come beside each other into room for 40."""
    parts = [bytes((number,)) * (15 << 20) for number in range(4)]

    async def body(store: Store) -> None:
        refused: list[int] = []

        async def receive(number: int) -> None:
            data = parts[number]
            store.pin(name(data), "unit")
            try:
                await store.receive(name(data), len(data), chunks(data[: 5 << 20], data[5 << 20 :]))
            except DiskFull:
                refused.append(number)

        await store.put(b"old" * (4 << 20))  # makes way
        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(receive, number)
        assert sorted(refused) == sorted(number for number in range(4) if store.size(name(parts[number])) is None)
        assert len(refused) == 2 and store.size(name(b"old" * (4 << 20))) is None
        for part in parts:
            store.unpin(name(part), "unit")
        await receive(refused[0])
        assert store.size(name(parts[refused[0]])) == 15 << 20, "what nobody holds makes way"


def test_results_of_an_own_job_come_beside_each_other_whatever_the_quota_is(run: Run) -> None:
    parts = [bytes((number,)) * (15 << 20) for number in range(4)]

    async def body(store: Store) -> None:
        for part in parts:
            store.pin(name(part), "job mine")
        async with trio.open_nursery() as nursery:
            for part in parts:
                nursery.start_soon(store.receive, name(part), len(part), chunks(part[: 5 << 20], part[5 << 20 :]))
        assert all(store.size(name(part)) == 15 << 20 for part in parts)

    run(body)


def test_received_bytes_are_checked(run: Run) -> None:
    data = b"0123456789" * 1000

    async def body(store: Store) -> None:
        await store.receive(name(data), len(data), chunks(data[:7], b"", data[7:]))
        assert await store.get(name(data), len(data)) == data
        await store.receive(name(data), len(data), chunks(b"not looked at: it is here"))
        for wrong in (data[:-1] + b"x", data + b"x"):
            with pytest.raises(Malformed):
                await store.receive(name(b"other"), len(data), chunks(wrong))
            assert store.partial(name(b"other")) == 0
        assert store.size(name(b"other")) is None

    run(body)


def test_an_interrupted_blob_is_resumed(run: Run) -> None:
    data = b"0123456789" * 1000

    async def cut() -> AsyncIterator[bytes]:
        yield data[:4000]
        raise Unavailable("the peer is gone")

    async def body(store: Store) -> None:
        with pytest.raises(Unavailable, match="gone"):
            await store.receive(name(data), len(data), cut())
        assert store.partial(name(data)) == 4000
        with pytest.raises(Unavailable, match="ended"):
            await store.receive(name(data), len(data), chunks(data[4000:5000]), offset=4000)
        assert store.partial(name(data)) == 5000
        with pytest.raises(ValueError, match="resume"):
            await store.receive(name(data), len(data), chunks(data), offset=5001)
        await store.receive(name(data), len(data), chunks(data[3000:]), offset=3000)
        assert await store.get(name(data), len(data)) == data
        assert store.partial(name(data)) == 0

    run(body)


def test_two_receivers_of_one_blob_do_not_mix(run: Run) -> None:
    data = bytes(range(256)) * 400

    async def body(store: Store) -> None:
        async with trio.open_nursery() as nursery:
            for step in (100, 1000, 7000):
                parts = [data[start : start + step] for start in range(0, len(data), step)]
                nursery.start_soon(store.receive, name(data), len(data), chunks(*parts))
        assert await store.get(name(data), len(data)) == data

    run(body)


def test_a_cancelled_receive_keeps_what_came(run: Run) -> None:
    data = b"0123456789" * 1000

    async def body(store: Store) -> None:
        taken = trio.Event()

        async def endless() -> AsyncIterator[bytes]:
            yield data[:10]
            taken.set()  # more is asked for
            await trio.sleep_forever()

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.receive, name(data), len(data), endless())
                await taken.wait()
                nursery.cancel_scope.cancel()
        assert store.partial(name(data)) == 10
        await store.receive(name(data), len(data), chunks(data[10:]), offset=10)
        assert store.size(name(data)) == len(data)

    run(body)


def test_in_memory_a_crash_loses_what_was_not_stored_durably() -> None:
    async def body() -> None:
        store = FakeBlobs()
        kept, lost = await store.put(b"kept", durable=True), await store.put(b"lost")
        store.crash()
        assert (store.size(kept), store.size(lost)) == (4, None)

    trio.run(body)
