"""Checkpoints against the entries they stand for: this node's own are made here, others' are checked.

Entries are read back from the journal, from a head through its log and the logs before it, to the checkpoint before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import trio

from ctorrent.errors import PeerError
from ctorrent.ledger.chain import Whole
from ctorrent.ledger.checkpoint import Totals, fits, lie
from ctorrent.ledger.rules import CheckpointRules
from ctorrent.model.entry import Checkpoint, Entry, EntryKind, Head, SignedEntry
from ctorrent.model.ids import NodeId
from ctorrent.node import records
from ctorrent.ports import Journal
from ctorrent.wire import codec

READ_AT_ONCE = 200  # entries between two looks at the clock: 10 ms


@dataclass(frozen=True, slots=True)
class History:
    """Everything up to a head, added up. whole: nothing of it is missing here, so the totals are the truth."""

    totals: Totals
    whole: bool


def said(entry: Entry) -> Checkpoint | None:
    """What a CHECKPOINT says, where it stands right; None for one that says nothing. The chain's reader."""
    try:
        found = codec.decode_checkpoint(entry.body)
    except PeerError:
        return None
    return found if fits(entry, found) else None


def entry_at(journal: Journal, author: NodeId, incarnation: int, seq: int) -> SignedEntry | None:
    """An entry as the journal holds it."""
    record = journal.get("entry", records.entry_key(author, incarnation, seq))
    return None if record is None else codec.read_entry(records.unpack_sealed(records.load(record)))


def parts(journal: Journal, head: Head, count: int) -> list[Checkpoint]:
    """The checkpoint after `head`, in its parts; empty where they are not all here."""
    rows = [entry_at(journal, head.author, head.incarnation, head.seq + 1 + part) for part in range(count)]
    found = [said(row.entry) for row in rows if row is not None and row.entry.kind == EntryKind.CHECKPOINT]
    return [part for part in found if part is not None] if len(found) == count and all(found) else []


def count(totals: Totals, entries: Iterable[SignedEntry]) -> None:
    """Add what entries say to a sum. One that cannot be read says nothing, to whoever reads it."""
    for signed in entries:
        try:
            if signed.entry.kind == EntryKind.TALLY:
                totals.add_tally(codec.decode_tally(signed.entry.body))
            elif signed.entry.kind == EntryKind.RECEIPT:
                totals.add_receipt(codec.decode_receipt(signed.entry.body))
        except PeerError:
            continue


async def history(journal: Journal, head: Head) -> History:
    """Add up what `head` is linked to, back to the checkpoint before it or to the very beginning."""
    totals, read = Totals(), 0
    at: Head | None = head
    while at is not None:
        opening: SignedEntry | None = None
        for seq in range(at.seq, 0, -1):
            row = entry_at(journal, at.author, at.incarnation, seq)
            if row is None or (seq == at.seq and row.id != at.id):
                return History(totals, False)
            if row.entry.kind == EntryKind.CHECKPOINT and (last := said(row.entry)) is not None and last.part == last.parts - 1:
                before = parts(journal, last.head, last.parts)
                totals.add_parts(before)
                return History(totals, bool(before))
            count(totals, [row])
            opening, read = row, read + 1
            if read % READ_AT_ONCE == 0:
                await trio.lowlevel.checkpoint()
        at = _earlier(opening)
    return History(totals, True)


def _earlier(opening: SignedEntry | None) -> Head | None:
    """The head that a log's first entry names, of its author's log before it."""
    if opening is None or opening.entry.kind != EntryKind.INCARNATION:
        return None
    try:
        named = codec.decode_incarnation(opening.entry.body)
    except PeerError:
        return None
    entry = opening.entry
    return named if named is not None and named.author == entry.author and named.incarnation < entry.incarnation else None


async def wrong(journal: Journal, whole: Whole, rules: CheckpointRules) -> str:
    """What is wrong with a complete checkpoint; "" where it is right, or where what it stands for is not all here."""
    claimed = parts(journal, whole.head, whole.parts)
    if not claimed:
        return ""
    found = await history(journal, whole.head)
    return lie(claimed, found.totals, rules) if found.whole else ""
