"""`ledger verify`: every signature and every link again, from the bytes in the journal."""

from __future__ import annotations

from typing import Any

import trio

from ctorrent.errors import PeerError
from ctorrent.ledger.chain import NOTHING
from ctorrent.model.entry import EntryKind, SignedEntry
from ctorrent.model.ids import NodeId
from ctorrent.node import records, summing
from ctorrent.node.ledgerbook import SCAN_ROWS, Ledgerbook
from ctorrent.ports import Journal
from ctorrent.wire import codec

BAD_SHOWN = 100  # of entries that do not hold; the count says how many there are


async def verify(journal: Journal, book: Ledgerbook) -> dict[str, Any]:
    """{"entries", "authors", "cut", "bad", "forks", "lies"}; reads a page at a time."""
    bad: list[str] = []
    last: dict[tuple[NodeId, int], SignedEntry] = {}
    found = {"entries": 0, "cut": 0}
    key = b""
    while rows := journal.scan("entry", limit=SCAN_ROWS // 4, after=key):
        key = rows[-1][0]
        await trio.lowlevel.checkpoint()
        for place, value in rows:
            found["entries"] += 1
            try:
                signed = codec.open_entry(records.unpack_sealed(records.load(value)))
            except PeerError as error:
                bad.append(f"entry at {place.hex()[:16]}: {error.message}")
                continue
            entry, before = signed.entry, last.get((signed.entry.author, signed.entry.incarnation))
            if not _follows(signed, before):
                bad.append(f"entry {entry.seq} of {entry.author} does not follow the one before it")
            found["cut"] += before is None and entry.seq > 1
            last[entry.author, entry.incarnation] = signed
    forks = [{"author": author, "incarnation": inc, "seq": seq} for author, inc, seq in book.forks]
    lies = [f"{author} {inc}.{seq}: {why}" for (author, inc, seq), why in sorted(book.lies.items())]
    return {**found, "authors": len({log[0] for log in last}), "bad": bad[:BAD_SHOWN], "forks": forks, "lies": lies}


def _follows(signed: SignedEntry, before: SignedEntry | None) -> bool:
    """Does an entry stand where it says? A log may begin with a checkpoint; then nothing is held of what lies behind."""
    entry = signed.entry
    if before is not None:
        return entry.seq == before.entry.seq + 1 and entry.prev == before.id
    if entry.seq == 1:
        return bool(entry.incarnation) or entry.prev == NOTHING
    return entry.kind == EntryKind.CHECKPOINT and (said := summing.said(entry)) is not None and said.part == 0
