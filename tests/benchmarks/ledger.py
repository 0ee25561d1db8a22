"""What a meeting over a million common entries costs: `python -m tests.benchmarks.ledger [--entries N] [--json FILE]`.

Two nodes' chains, their summaries and the meeting's own bytes, encoded and decoded as on the wire; the entries are not
real signatures, since none of the common ones is ever sent. Then a journal of so many entries is loaded.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import tempfile
import time
from pathlib import Path

import trio

from ctorrent.canon import encode
from ctorrent.ledger.chain import Chain
from ctorrent.model.entry import SignedEntry
from ctorrent.node import records
from ctorrent.ports import Put
from ctorrent.seal import Sealed
from ctorrent.store.journal import open_journal
from ctorrent.wire import codec
from tests.ledger.logs import author, entry
from tests.ledger.test_sync import Side, meet, same

A_LOG = 200  # entries: 5,000 logs of 200, as many nodes that write for a year
NEWS_LOGS, NEWS = 20, 5  # what one node has and the other lacks

Row = tuple[str, float, str]


def grown(chain: Chain, who: int, count: int) -> list[SignedEntry]:
    made: list[SignedEntry] = []
    head = chain.head(author(who), 0)
    for _ in range(count):
        seq = 1 if head is None else head.seq + 1
        made.append(entry(author(who), seq) if head is None else entry(author(who), seq, head.id))
        chain.add(made[-1])
        head = chain.head(author(who), 0)
    return made


def sides(entries: int) -> tuple[Side, Side, float]:
    left, right = Side(), Side()
    began = time.perf_counter()
    for who in range(entries // A_LOG):
        for one in grown(left.chain, who, A_LOG):
            right.chain.add(one)
    return left, right, (time.perf_counter() - began) / 2


def meetings(entries: int) -> list[Row]:
    left, right, built = sides(entries)
    rows: list[Row] = [(f"chaining {entries:,} entries", built, "s")]
    before = left.bytes + right.bytes
    began = time.perf_counter()
    meet(left, right)
    rows.append(("first look at fingerprints, alike", time.perf_counter() - began, "s"))
    began = time.perf_counter()
    meet(left, right)
    rows += [("a meeting with nothing new", time.perf_counter() - began, "s"), ("its bytes", (left.bytes + right.bytes - before) / 2, "B")]
    news: list[SignedEntry] = []
    for who in random.Random(1).sample(range(entries // A_LOG), NEWS_LOGS):
        news += grown(right.chain, who, NEWS)
    right.held.update({one.id: one for one in news})
    before, messages, began = left.bytes + right.bytes, left.messages + right.messages, time.perf_counter()
    assert meet(left, right) == ("", "") and same(left, right)
    size = left.bytes + right.bytes - before
    entries_bytes = sum(len(encode([e.sealed.body, e.sealed.public, e.sealed.signature])) for e in news)
    rows += [
        (f"a meeting with {len(news)} new entries in {NEWS_LOGS} logs", time.perf_counter() - began, "s"),
        ("its bytes, the new entries among them", size / 1024, "KiB"),
        ("its bytes, without them", (size - entries_bytes) / 1024, "KiB"),
        ("its messages", left.messages + right.messages - messages, ""),
    ]
    return rows


async def load(entries: int, folder: Path) -> list[Row]:
    """A real journal, written and read as a start reads it."""
    from ctorrent.model.entry import Entry

    journal = await open_journal(folder / "journal.sqlite")
    for who in range(entries // A_LOG):
        puts, prev = [], bytes(32)
        for seq in range(1, A_LOG + 1):
            made = Entry(author(who), 0, seq, prev, 99, entry(author(0), 1).entry.ring, b"x" * 300, 0)  # type: ignore[arg-type]
            body = unsigned(made)
            prev = codec.entry_id(body)
            puts.append(Put("entry", records.entry_key(author(who), 0, seq), encode(records.pack_sealed(body))))
        await journal.commit(puts, durable=False)
    await journal.aclose()
    began = time.perf_counter()
    journal = await open_journal(folder / "journal.sqlite")
    opened, chain, key = time.perf_counter() - began, Chain(), b""
    began = time.perf_counter()
    while rows := journal.scan("entry", limit=1024, after=key):
        key = rows[-1][0]
        for _, value in rows:
            chain.add(codec.read_entry(records.unpack_sealed(records.load(value))))
    read = time.perf_counter() - began
    size = (folder / "journal.sqlite").stat().st_size / 1e6
    await journal.aclose()
    return [(f"opening and checking a journal of {entries:,} entries", opened, "s"), ("reading and chaining them", read, "s"), ("its size", size, "MB")]


def unsigned(made: object) -> Sealed:
    """The bytes of an entry with a signature that nobody checks: a start checks none."""
    from ctorrent.wire.codec_bounds import canonical, node_to_wire, ring_to_wire
    from ctorrent.wire.pb import ledger_pb2 as pb

    e = made
    message = pb.Entry(author=node_to_wire(e.author), incarnation=e.incarnation, seq=e.seq, prev=e.prev, ring=ring_to_wire(e.ring), body=e.body)  # type: ignore[attr-defined]
    message.kind = e.kind  # type: ignore[attr-defined]
    return Sealed(canonical(message), node_to_wire(e.author), bytes(64))  # type: ignore[attr-defined]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = meetings(options.entries)
    rows.append(("memory of both nodes' ledgers, at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB"))
    with tempfile.TemporaryDirectory() as folder:
        rows += trio.run(load, options.entries, Path(folder))
    for name, figure, unit in rows:
        print(f"{name:<60} {figure:>12,.3f} {unit}")
    if options.json:
        options.json.write_text(json.dumps({name: figure for name, figure, _ in rows}, indent=1))


if __name__ == "__main__":
    main()
