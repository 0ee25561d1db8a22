"""How soon a node with a large ledger answers: `python -m tests.benchmarks.start [--entries N] [--folder DIR] [--json FILE]`.

A data folder of tallies by 5,000 authors is made (kept with --folder), a node is started on it as `ctorrent up` does, and
asked for its status until it answers; then until it says that all of its ledger is read. No signature is real: a start
checks none.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import trio

from ctorrent.canon import encode
from ctorrent.client import Net
from ctorrent.errors import LocalError
from ctorrent.model.entry import Entry, EntryKind, Tally
from ctorrent.model.ids import Digest, OwnerId, owner_id
from ctorrent.node import records
from ctorrent.ports import Put
from ctorrent.seal import digest
from ctorrent.store.journal import open_journal
from ctorrent.store.keys import load_or_create
from ctorrent.wire import codec
from tests.benchmarks.ledger import A_LOG, unsigned
from tests.ledger.logs import PUBLIC, author

WORKERS = 2000  # that the tallies are about
LIMIT_S = 1800.0


async def make(entries: int, folder: Path) -> None:
    """A journal of so many tallies, as a node of the public ring would hold."""
    load_or_create(folder, folder / "owner")
    journal = await open_journal(folder / "journal.sqlite")
    owner = OwnerId(owner_id(digest("test/owner", b"")))
    for who in range(entries // A_LOG):
        puts, prev = [], Digest(bytes(32))
        for seq in range(1, A_LOG + 1):
            worker = author(1_000_000 + (who * A_LOG + seq) % WORKERS)
            tally = Tally(Digest(digest("test/job", who.to_bytes(4, "big"))), worker, owner, 60, 0, 0, "x86_64 cpu", bytes(32))
            body = unsigned(Entry(author(who), 0, seq, prev, EntryKind.TALLY, PUBLIC, codec.encode_tally(tally), 0))
            prev = codec.entry_id(body)
            puts.append(Put("entry", records.entry_key(author(who), 0, seq), encode(records.pack_sealed(body))))
        await journal.commit(puts, durable=False)
    await journal.aclose()


Row = tuple[str, float, str]


def start(folder: Path) -> list[Row]:
    """A node of its own process; CPU seconds beside the clock's, which on a busy machine say little."""
    from ctorrent.embedded import NodeProcess
    from tests.real.herd import FLAGS

    environ = {**os.environ, "HOME": os.fspath(folder)}
    began = time.monotonic()
    node = NodeProcess(folder, (*FLAGS, "--no-work", "--no-dht", "--owner-dir", os.fspath(folder / "owner")), environ, folder / "node.log")
    try:
        with node.wait_ready(began + LIMIT_S) as net:
            net.status()
            rows = [("it answers after", time.monotonic() - began, "s"), ("of processor time", _cpu_s(node.pid), "s"), ("its memory then", _memory(node.pid), "MiB")]
            slowest = 0.0
            while (status := _timed(net))[0]["ledger_read"] < 1:
                slowest = max(slowest, status[1])
                if time.monotonic() - began > LIMIT_S or not node.alive():
                    raise LocalError(f"The node read {status[0]['ledger_read']:.0%} of its ledger.", "Look at its log.")
                time.sleep(0.25)  # as a person's status does: not to be busy beside it
            rows += [
                ("all of its ledger is read after", time.monotonic() - began, "s"), ("of processor time", _cpu_s(node.pid), "s"),
                ("the slowest answer meanwhile", slowest, "s"), ("its memory at most", _memory(node.pid, "VmHWM"), "MiB"),
            ]  # fmt: skip
    finally:
        node.stop()
    return rows


def _timed(net: Net) -> tuple[dict[str, Any], float]:
    began = time.monotonic()
    return net.status(), time.monotonic() - began


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, what: str = "VmRSS") -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--folder", type=Path, help="a data folder that is kept, and used again where it is there")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as spare:
        folder = options.folder or Path(spare)
        if not (folder / "journal.sqlite").exists():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            trio.run(make, options.entries, folder)
        rows = start(folder)
    for name, figure, unit in rows:
        print(f"{name:<40} {figure:>12,.2f} {unit}")
    if options.json:
        options.json.write_text(json.dumps([[name, figure, unit] for name, figure, unit in rows], indent=1))


if __name__ == "__main__":
    main()
