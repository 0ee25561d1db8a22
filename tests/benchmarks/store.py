"""What the store costs: `python -m tests.benchmarks.store [--json FILE]`. A figure a line; what a disk gives is beside it.

The rows "beside a busy loop" keep the event loop busy without a pause, as thousands of small blocks do, and commit the
same record through the journal's process and through a thread of the node.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from ctorrent.ports import Put
from ctorrent.store.blobs import open_blobs
from ctorrent.store.journal import Journal, open_journal
from ctorrent.store.writer import connect

TICK_S = 0.0003  # what one turn of the busy loop computes
BUSY_S = 3.0  # how long each row beside a busy loop may take
RECORD = b"x" * 200

Row = tuple[str, float, str]


def disk_sync_ms(folder: Path) -> Row:
    """What one fdatasync of 4 KiB costs here: no durable commit can cost less."""
    times = []
    handle = os.open(folder / "sync", os.O_CREAT | os.O_WRONLY)
    for _ in range(100):
        os.write(handle, bytes(4096))
        began = time.perf_counter()
        os.fdatasync(handle)
        times.append(time.perf_counter() - began)
    os.close(handle)
    return "the disk's fdatasync", statistics.median(times) * 1e3, "ms"


async def alone(journal: Journal) -> Row:
    """One task, one record a commit, durable."""
    times = []
    for number in range(300):
        began = time.perf_counter()
        await journal.commit([Put("alone", number.to_bytes(4, "big"), RECORD)])
        times.append(time.perf_counter() - began)
    return "a durable commit, alone", statistics.median(times) * 1e3, "ms"


async def together(journal: Journal) -> Row:
    """64 tasks, one record a commit, durable."""

    async def task(task: int) -> None:
        for number in range(100):
            await journal.commit([Put("together", bytes((task, number)), RECORD)])

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for number in range(64):
            nursery.start_soon(task, number)
    return "durable commits, 64 tasks", 6400 / (time.perf_counter() - began), "/s"


async def quick(journal: Journal) -> Row:
    """One task, one record a commit, waiting for no disk."""
    began = time.perf_counter()
    for number in range(10_000):
        await journal.commit([Put("quick", number.to_bytes(4, "big"), RECORD)], durable=False)
    return "commits that wait for no disk", 10_000 / (time.perf_counter() - began), "/s"


async def large(journal: Journal) -> Row:
    """1,000 records in one durable commit."""
    times = []
    for turn in range(10):
        began = time.perf_counter()
        await journal.commit([Put("large", os.urandom(16), RECORD) for _ in range(1000)])
        times.append(time.perf_counter() - began)
        del turn
    return "1,000 records in a durable commit", statistics.median(times) * 1e3, "ms"


async def reads(journal: Journal) -> Row:
    began = time.perf_counter()
    for number in range(10_000):
        assert journal.get("quick", number.to_bytes(4, "big")) == RECORD
    return "reads", 10_000 / (time.perf_counter() - began), "/s"


async def busy_process(journal: Journal) -> Row:
    """Mean time of durable commits through the journal while the loop is never idle."""
    return "a durable commit beside a busy loop", await _beside_busy_loop(
        lambda: journal.commit([Put("busy", b"k", RECORD)])
    ), "ms"


async def busy_thread(folder: Path) -> Row:
    """The same through a thread, to see whether the process is still needed (see store/writer.py)."""
    connection = connect(str(folder / "thread.db"))
    connection.execute("CREATE TABLE records (space TEXT, key BLOB, value BLOB, PRIMARY KEY (space, key)) WITHOUT ROWID")

    def commit() -> sqlite3.Cursor:
        return connection.execute("INSERT OR REPLACE INTO records VALUES ('busy', x'00', ?)", (RECORD,))

    mean = await _beside_busy_loop(lambda: trio.to_thread.run_sync(commit))
    connection.close()
    return "the same in a thread", mean, "ms"


async def _beside_busy_loop(commit: Callable[[], Awaitable[object]]) -> float:
    async def busy() -> None:
        while True:
            end = time.perf_counter() + TICK_S
            while time.perf_counter() < end:
                pass
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(busy)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < BUSY_S:
            await commit()
            count += 1
        nursery.cancel_scope.cancel()
    return (time.perf_counter() - began) / count * 1e3


async def blobs(folder: Path) -> list[Row]:
    """Blobs of 1 MiB and one file of 256 MiB, in the page cache."""
    store = await open_blobs(folder / "blobs")
    parts = [os.urandom(1 << 20) for _ in range(100)]
    for part in parts[:10]:
        await store.put(part + b"warm")
    began = time.perf_counter()
    names = [await store.put(part) for part in parts]
    put_s = (time.perf_counter() - began) / len(parts)
    began = time.perf_counter()
    for name in names:
        await store.get(name, 1 << 20)
    get_s = (time.perf_counter() - began) / len(parts)
    source = trio.Path(folder / "source")
    await source.write_bytes(os.urandom(256 << 20))
    began = time.perf_counter()
    await store.put_file(str(source))
    file_s = time.perf_counter() - began
    return [
        ("put 1 MiB", put_s * 1e3, "ms"),
        ("get 1 MiB", get_s * 1e3, "ms"),
        ("put a file", 256 / file_s, "MiB/s"),
    ]


async def measure(folder: Path) -> list[Row]:
    journal = await open_journal(folder / "journal.db")
    rows = [await row(journal) for row in (alone, together, quick, large, reads, busy_process)]
    await journal.aclose()
    return [*rows, await busy_thread(folder), *await blobs(folder)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: a temporary folder)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        rows = [disk_sync_ms(Path(folder)), *trio.run(measure, Path(folder))]
    for name, figure, unit in rows:
        print(f"{name:<40}{figure:>12,.2f} {unit}")
    if arguments.json:
        arguments.json.write_text(json.dumps({name: {"figure": figure, "unit": unit} for name, figure, unit in rows}))


if __name__ == "__main__":
    main()
