"""A node killed at any moment has lost nothing that its journal acknowledged; a file cut anywhere is never garbage."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from ctorrent.errors import JournalError
from ctorrent.ports import Put
from ctorrent.store.journal import Journal, open_journal

# Commits number n as records n/0 … n/n%5 with values derived from n, prints n when acknowledged. Every third is quick.
VICTIM = """
import sys, trio
from ctorrent.ports import Delete, Put
from ctorrent.ports import Put
from ctorrent.store.journal import open_journal

async def main():
    journal = await open_journal(sys.argv[1])
    first = len(journal.scan("head"))
    async def one(n):
        writes = [Put("rows", b"%08d/%d" % (n, part), b"%d" % (n * n) * 50) for part in range(n % 5 + 1)]
        writes += [Put("head", b"%08d" % n, b""), Put("old", b"%d" % n, b"x" * 500), Delete("old", b"%d" % (n - 10))]
        await journal.commit(writes, durable=n % 3 != 0)
        if n % 3:
            sys.stdout.write(f"{n}\\n"); sys.stdout.flush()
    n = int(sys.argv[2])
    while True:
        async with trio.open_nursery() as nursery:
            for _ in range(7):
                nursery.start_soon(one, n); n += 1
trio.run(main)
"""


def whole(journal: Journal) -> list[int]:
    """The numbers of the commits that are here; fails when one is here in part or altered."""
    heads = [int(key) for key, _ in journal.scan("head")]
    rows = dict(journal.scan("rows"))
    for number in heads:
        for part in range(number % 5 + 1):
            assert rows.pop(b"%08d/%d" % (number, part)) == b"%d" % (number * number) * 50
    assert not rows, "records of a commit that did not happen"
    return heads


async def read(path: Path) -> list[int]:
    journal = await open_journal(path)
    try:
        return whole(journal)
    finally:
        await journal.aclose()


def kill_after(path: Path, acknowledgements: int, start: int, all_of_it: bool = True) -> list[int]:
    """Run the victim, kill it -9 after so many acknowledgements; -> all that it acknowledged.

    all_of_it: its writing process too, as a loss of power would; otherwise the node alone.
    """
    command = [sys.executable, "-c", VICTIM, str(path), str(start)]
    victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert victim.stdout is not None
    with victim.stdout as lines:
        got = [int(lines.readline()) for _ in range(acknowledgements)]
        if all_of_it:
            os.killpg(victim.pid, signal.SIGKILL)
        else:
            victim.kill()
        got += [int(line) for line in lines if line.endswith("\n")]
    victim.wait()
    return got


@pytest.mark.real
def test_killed_at_any_moment_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    weather = random.Random(7)
    path = tmp_path / "journal.db"
    acknowledged: set[int] = set()
    start = 1
    for turn in range(8):
        acknowledged |= set(kill_after(path, weather.randrange(1, 400), start, all_of_it=turn % 2 == 0))
        kept = trio.run(read, path)
        assert acknowledged <= set(kept)
        start = max(kept) + 1
    assert len(acknowledged) > 500


@pytest.mark.real
def test_cut_at_any_size_it_is_refused_or_recovered(tmp_path: Path) -> None:
    origin = tmp_path / "origin" / "journal.db"
    kill_after(origin, 60, 1)
    log = origin.with_name("journal.db-wal")
    assert log.stat().st_size > 50_000, "the kill left a log to be cut"
    everything = _read_a_copy(origin, tmp_path / "all", None, None)
    outcomes = []
    for size in _sizes(log.stat().st_size, 20):
        kept = _read_a_copy(origin, tmp_path / f"log{size}", "journal.db-wal", size)
        assert isinstance(kept, list), "a log that ends early is what a crash leaves: recovered"
        assert kept == everything[: len(kept)], "a prefix: commits in order, none missing in between"
        outcomes.append(len(kept))
    assert outcomes == sorted(outcomes)
    assert outcomes[0] == 0 and outcomes[-1] > 0


@pytest.mark.real
def test_a_cut_file_is_refused_with_what_is_lost_and_what_to_do(tmp_path: Path) -> None:
    origin = tmp_path / "origin" / "journal.db"
    kill_after(origin, 300, 1)
    trio.run(read, origin)  # opens and closes cleanly: everything is now in the file
    full = origin.stat().st_size
    for size in _sizes(full, 40):
        found = _read_a_copy(origin, tmp_path / f"file{size}", "journal.db", size)
        assert isinstance(found, JournalError), f"cut to {size} of {full} bytes"
        assert "damaged" in found.message and "jobs, results" in found.message
        assert "mv " in found.hint


@pytest.mark.real
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    origin = tmp_path / "origin" / "journal.db"
    kill_after(origin, 120, 1)
    everything = trio.run(read, origin)
    weather = random.Random(11)
    raw = origin.read_bytes()
    refused = 0
    for turn in range(60):
        at = weather.randrange(len(raw))
        target = tmp_path / f"flip{turn}" / "journal.db"
        target.parent.mkdir()
        target.write_bytes(raw[:at] + bytes((raw[at] ^ 1 << weather.randrange(8),)) + raw[at + 1 :])
        try:
            assert trio.run(read, target) == everything
        except JournalError:
            refused += 1
    assert refused > 30


@pytest.mark.real
def test_damage_is_found_at_the_start_and_not_at_some_later_read(tmp_path: Path) -> None:
    """Inside a value, where SQLite's own check does not look."""
    path = tmp_path / "journal.db"
    trio.run(_write_one, path)
    raw = path.read_bytes()
    assert raw.count(b"a value of some length") == 1
    path.write_bytes(raw.replace(b"a value of some length", b"a value of some lengtg"))
    with pytest.raises(JournalError, match=r"a record of 'jobs' does not have the checksum"):
        trio.run(open_journal, path)


async def _write_one(path: Path) -> None:
    journal = await open_journal(path)
    await journal.commit([Put("jobs", b"k", b"a value of some length")])
    await journal.aclose()


def _read_a_copy(origin: Path, folder: Path, part: str | None, size: int | None) -> list[int] | JournalError:
    folder.mkdir()
    for name in ("journal.db", "journal.db-wal"):
        if (source := origin.with_name(name)).exists():
            shutil.copy(source, folder / name)
    if part is not None and size is not None:
        with (folder / part).open("r+b") as file:
            file.truncate(size)
    try:
        return trio.run(read, folder / "journal.db")
    except JournalError as error:
        return error
    finally:
        shutil.rmtree(folder)


def _sizes(full: int, count: int) -> list[int]:
    """Sizes below `full`: the ends, page borders and their neighbours, and others by chance."""
    weather = random.Random(full)
    borders = [page * 4096 + shift for page in weather.choices(range(full // 4096), k=count // 2) for shift in (0, 1)]
    chosen = {0, 1, 31, 32, 99, 100, 512, full - 1, *borders, *(weather.randrange(full) for _ in range(count // 2))}
    return sorted(size for size in chosen if size < full)
