"""What SQLite's journal adds to the contract: one node a folder, versions, modes, a full disk, a writer that dies."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trio

from ctorrent.errors import JournalError, LocalError
from ctorrent.ports import Delete, Put
from ctorrent.store import schema, writer
from ctorrent.store.batches import Batches, BatchRules, Ticket, encode
from ctorrent.store.journal import Journal, open_journal

pytestmark = pytest.mark.real


async def put_one(path: Path, key: bytes = b"k", durable: bool = True) -> None:
    journal = await open_journal(path)
    await journal.commit([Put("s", key, b"v")], durable)
    await journal.aclose()


def test_two_nodes_cannot_use_one_folder(tmp_path: Path) -> None:
    async def main() -> None:
        first = await open_journal(tmp_path / "journal.db")
        with pytest.raises(LocalError, match=f"process {os.getpid()}") as caught:
            await open_journal(tmp_path / "journal.db")
        assert "--data-dir" in caught.value.hint
        await first.aclose()
        await put_one(tmp_path / "journal.db")

    trio.run(main)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "data" / "journal.db")
        await journal.commit([Put("s", b"k", b"v")])
        files = await trio.to_thread.run_sync(lambda: sorted((tmp_path / "data").iterdir()))
        assert [file.name for file in files] == ["journal.db", "journal.db-shm", "journal.db-wal", "journal.db.lock"]
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700
        await journal.aclose()

    trio.run(main)


def test_a_newer_format_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    trio.run(put_one, path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"format 99.*up to 1"):
        trio.run(put_one, path)
    assert path.read_bytes() == before


def test_a_migration_copies_first_and_happens_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    trio.run(put_one, path)
    steps = (*schema.MIGRATIONS, "CREATE TABLE more (x); INSERT INTO more VALUES (1);")
    schema.prepare(path, steps)
    schema.prepare(path, steps)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT x FROM more").fetchall() == [(1,)]
    assert connection.execute("SELECT space, key FROM records").fetchall() == [("s", b"k")]
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    connection.close()
    copy = tmp_path / "journal.db.v1"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    copy.rename(path)  # the way back
    trio.run(put_one, path)


def test_a_migration_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    trio.run(put_one, path)
    with pytest.raises(JournalError):
        schema.prepare(path, (*schema.MIGRATIONS, "CREATE TABLE more (x); INSERT INTO nothing VALUES (1);"))
    trio.run(put_one, path)


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(JournalError, match="not a journal of this program"):
        trio.run(put_one, path)


def test_a_log_without_its_file_is_damage_and_no_first_start(tmp_path: Path) -> None:
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 100)
    with pytest.raises(JournalError, match="missing beside"):
        trio.run(put_one, tmp_path / "journal.db")


def test_an_interrupted_first_start_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "journal.db.new").write_bytes(b"half")
    trio.run(put_one, tmp_path / "journal.db")


FULL_DISK = """
import resource, sys, trio
from ctorrent.errors import JournalError
from ctorrent.ports import Put
from ctorrent.store.journal import open_journal

async def main():
    journal = await open_journal(sys.argv[1])
    await journal.commit([Put("s", b"before", b"v")])
    writer = journal._batches._process.pid
    resource.prlimit(writer, resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
    await journal.commit([Put("s", b"quick", b"q" * 100_000)], durable=False)
    try:
        await journal.commit([Put("s", b"large", b"l" * 100_000)])
    except JournalError as error:
        print(error)
    else:
        sys.exit("it was acknowledged")
    print(sorted(key for key, _ in journal.scan("s")))
trio.run(main)
"""


def test_what_the_disk_refuses_is_not_acknowledged(tmp_path: Path) -> None:
    """A limit on the writer's file size stands for a disk that fails: SQLite calls it an I/O error, which is final."""
    path = tmp_path / "journal.db"
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "could not be written" in ran.stdout
    assert "[b'before', b'quick']" in ran.stdout  # still seen in this life; it was never promised to the next

    async def next_life() -> None:
        journal = await open_journal(path)
        assert journal.scan("s") == [(b"before", b"v")]
        await journal.aclose()

    trio.run(next_life)


def test_a_full_file_refuses_and_works_again_when_there_is_room(tmp_path: Path) -> None:
    schema.prepare(tmp_path / "journal.db")
    connection = writer.connect(str(tmp_path / "journal.db"))
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 2}")
    writing = writer.Writer(connection)
    with pytest.raises(sqlite3.Error) as caught:
        writing.write(iter([("s", b"k", bytes(100_000))]), durable=True)
    assert writer.passing(caught.value.sqlite_errorcode)
    writing.write(iter([("s", b"small", b"v")]), durable=True)
    connection.execute("PRAGMA max_page_count=10000")
    writing.write(iter([("s", b"k", bytes(100_000))]), durable=True)
    assert connection.execute("SELECT key FROM records ORDER BY key").fetchall() == [(b"k",), (b"small",)]
    connection.close()


def answer(door: socket.socket, codes: list[int], seen: list[list[bytes]]) -> None:
    """A writing process that answers with these codes, in a thread; the last one repeats."""
    with door, door.makefile("rb") as inbound:
        while head := inbound.read(writer.BATCH.size):
            number, _, records, size = writer.BATCH.unpack(head)
            seen.append([key for _, key, _ in writer.decode(inbound.read(size), records)])
            code = codes.pop(0) if len(codes) > 1 else codes[0]
            door.sendall(writer.REPLY.pack(number, code, 4) + b"full" if code else writer.REPLY.pack(number, 0, 0))


def test_what_returned_is_written_again_until_the_disk_has_room(tmp_path: Path) -> None:
    """And while it has none, nobody's commit returns without having been written."""
    ours, theirs = socket.socketpair()
    seen: list[list[bytes]] = []
    thread = threading.Thread(target=answer, args=(theirs, [sqlite3.SQLITE_FULL, sqlite3.SQLITE_FULL, 0], seen))
    settled: list[tuple[list[int], bool]] = []
    process = subprocess.Popen([sys.executable, "-c", ""])  # for it to wait for; the thread answers

    async def main() -> None:
        batches = Batches(ours, process, BatchRules(linger_s=0.0, retry_s=0.0))
        batches.start(lambda batch, failure: settled.append(([t.number for t in batch], failure is None)))
        first, second = (Put("s", b"1", b""),), (Put("s", b"2", b""),)
        batches.post(Ticket(1, first, encode(first), durable=False, waited=False))
        batches.post(Ticket(2, second, encode(second), durable=True, waited=True))
        with trio.fail_after(30):
            while not (settled and settled[-1][1]):  # noqa: ASYNC110
                await trio.sleep(0.005)
        await batches.aclose()

    thread.start()
    trio.run(main)
    thread.join()
    assert settled == [([1, 2], False), ([1], False), ([1], True)]
    assert seen == [[b"1", b"2"], [b"1"], [b"1"]]


def test_a_writer_that_dies_stops_the_journal_with_words(tmp_path: Path) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        await journal.commit([Put("s", b"1", b"v")])
        journal._batches._process.kill()
        for _ in range(2):
            with pytest.raises(JournalError, match="writing process is gone") as caught:
                await journal.commit([Put("s", b"2", b"v")])
        assert "start the node again" in caught.value.hint
        assert journal.get("s", b"1") == b"v"
        await journal.aclose()
        await put_one(tmp_path / "journal.db")

    trio.run(main)


def test_a_durable_commit_syncs_what_was_written_quickly_before_it(tmp_path: Path) -> None:
    """Counted in the writer itself: deleting what is not there must still reach the disk."""

    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        await journal.commit([Put("s", b"k", b"v")], durable=False)
        with trio.fail_after(30):
            while journal._unwritten:  # noqa: ASYNC110
                await trio.sleep(0.005)
        log = trio.Path(tmp_path / "journal.db-wal")
        before = (await log.stat()).st_size
        await journal.commit([Delete("s", b"not there")])
        assert (await log.stat()).st_size > before
        await journal.aclose()

    trio.run(main)


def test_records_have_a_limit(tmp_path: Path) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        with pytest.raises(ValueError, match="too large"):
            await journal.commit([Put("s", b"k", bytes((16 << 20) + 1))])
        await journal.aclose()

    trio.run(main)


@pytest.mark.parametrize("wrong", [Put("\ud800", b"k", b"v"), Put("s", "k", b"v"), Put("s", b"k", None)])  # type: ignore[arg-type]
def test_what_is_no_record_is_told_to_whoever_commits_it(tmp_path: Path, wrong: Put) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        with pytest.raises((TypeError, UnicodeEncodeError)):
            await journal.commit([Put("s", b"good", b""), wrong])
        await journal.commit([Put("s", b"next", b"")])
        assert [key for key, _ in journal.scan("s")] == [b"next"]
        await journal.aclose()

    trio.run(main)


def test_signals_to_the_whole_group_do_not_end_the_writer_before_the_node(tmp_path: Path) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        await journal.commit([Put("s", b"1", b"")])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            journal._batches._process.send_signal(number)
            await journal.commit([Put("s", b"after", number.to_bytes(1, "big"))])
        await journal.aclose()

    trio.run(main)


def test_much_that_nobody_waits_for_stays_bounded_in_memory(tmp_path: Path) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        for number in range(400):
            await journal.commit([Put("s", number.to_bytes(2, "big"), bytes(100_000))], durable=False)
            assert journal._unwritten_bytes <= 8 << 20
        assert len(journal.scan("s")) == 400
        await journal.aclose()

    trio.run(main)


def test_it_leaves_no_process(tmp_path: Path) -> None:
    async def main() -> Journal:
        journal = await open_journal(tmp_path / "journal.db")
        await journal.commit([Put("s", b"k", b"v")], durable=False)
        await journal.aclose()
        return journal

    assert trio.run(main)._batches._process.poll() == 0


def test_a_node_that_ends_without_a_word_ends_its_writer(tmp_path: Path) -> None:
    script = (
        "import os, sys, trio\n"
        "from ctorrent.ports import Put\n"
        "from ctorrent.store.journal import open_journal\n"
        "async def main():\n"
        "    journal = await open_journal(sys.argv[1])\n"
        "    await journal.commit([Put('s', b'k', b'v')])\n"
        "    print(journal._batches._process.pid, flush=True)\n"
        "    os._exit(1)\n"
        "trio.run(main)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "journal.db")], capture_output=True, text=True, check=False
    )
    pid = int(ran.stdout)

    async def gone() -> None:
        with trio.fail_after(30):
            while await trio.Path(f"/proc/{pid}/cmdline").exists() and await _runs_writer(pid):  # noqa: ASYNC110
                await trio.sleep(0.01)

    trio.run(gone)
    trio.run(put_one, tmp_path / "journal.db")


async def _runs_writer(pid: int) -> bool:
    try:
        return b"writer.py" in await trio.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_commits_that_wait_together_share_a_transaction(tmp_path: Path) -> None:
    async def main() -> None:
        journal = await open_journal(tmp_path / "journal.db")
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(journal.commit, [Put("s", bytes((number,)), b"")])
        assert journal._batches._number <= 5
        await journal.aclose()

    trio.run(main)


def test_only_durable_batches_sync(tmp_path: Path) -> None:
    """SQLite syncs the log at a commit under FULL (2), and at checkpoints only under NORMAL (1)."""
    schema.prepare(tmp_path / "journal.db")
    connection = writer.connect(str(tmp_path / "journal.db"))
    writing = writer.Writer(connection)
    levels = []
    for durable in (True, False, True):
        writing.write(iter([("s", b"k", b"v")]), durable)
        levels.append(connection.execute("PRAGMA synchronous").fetchone()[0])
    assert levels == [2, 1, 2]
    connection.close()


def test_after_a_failure_of_unknown_extent_nothing_is_written_any_more(tmp_path: Path) -> None:
    schema.prepare(tmp_path / "journal.db")
    connection = writer.connect(str(tmp_path / "journal.db"))
    writing = writer.Writer(connection)
    connection.execute("PRAGMA query_only=ON")
    for _ in range(2):
        with pytest.raises(sqlite3.Error):
            writing.write(iter([("s", b"k", b"v")]), durable=True)
        connection.execute("PRAGMA query_only=OFF")  # it would work again, and must not be believed
    assert connection.execute("SELECT count(*) FROM records").fetchone() == (0,)
    connection.close()
