"""Entries for tests: real chains of ids, without the cost of real signatures (the rooms under test never see one)."""

from __future__ import annotations

from functools import cache

from ctorrent.ledger.chain import NOTHING, Chain
from ctorrent.model.entry import Checkpoint, Entry, EntryKind, Head, SignedEntry
from ctorrent.model.ids import Digest, NodeId, Ring, RingKind, node_id
from ctorrent.seal import Sealed, digest

PUBLIC = Ring(RingKind.PUBLIC)


@cache
def author(number: int) -> NodeId:
    return node_id(digest("test/author", number.to_bytes(8, "big")))


def entry(
    who: NodeId,
    seq: int,
    prev: Digest = NOTHING,
    *,
    incarnation: int = 0,
    kind: int = EntryKind.TALLY,
    ring: Ring = PUBLIC,
    body: bytes = b"",
) -> SignedEntry:
    made = Entry(who, incarnation, seq, prev, kind, ring, body, 0)
    raw = repr((who, incarnation, seq, prev, int(kind), str(ring), body)).encode()
    return SignedEntry(Digest(digest("ctorrent/entry/1", raw)), made, Sealed(raw, b"k" * 32, b"s" * 64))


def log(
    who: NodeId, length: int, *, incarnation: int = 0, ring: Ring = PUBLIC, body: bytes = b"", after: Digest = NOTHING
) -> list[SignedEntry]:
    """A log's first `length` entries; a log other than the very first opens as it must."""
    entries: list[SignedEntry] = []
    for seq in range(1, length + 1):
        kind = EntryKind.INCARNATION if seq == 1 and incarnation else EntryKind.TALLY
        prev = entries[-1].id if entries else after
        entries.append(entry(who, seq, prev, incarnation=incarnation, kind=kind, ring=ring, body=body))
    return entries


def holding(*logs: list[SignedEntry]) -> Chain:
    chain = Chain()
    for entries in logs:
        for one in entries:
            chain.add(one)
    return chain


STATED: dict[bytes, Checkpoint] = {}  # body -> what it says: these rooms never decode one themselves


def read(one: Entry) -> Checkpoint | None:
    """The reader that a node gives its chain."""
    return STATED.get(one.body)


def summed(entries: list[SignedEntry], parts: int = 1, head: Head | None = None, body: bytes = b"") -> list[SignedEntry]:
    """A log, and a checkpoint over all of it."""
    made, last = entries[:], entries[-1]
    head = head or Head(last.entry.author, last.entry.incarnation, last.entry.seq, last.id)
    for part in range(parts):
        said = Checkpoint(head, part, parts, ())
        words = repr((head, part, parts)).encode() + body
        STATED[words] = said
        made.append(entry(
            last.entry.author, made[-1].entry.seq + 1, made[-1].id, incarnation=last.entry.incarnation,
            kind=EntryKind.CHECKPOINT, ring=last.entry.ring, body=words,
        ))  # fmt: skip
    return made


def more(entries: list[SignedEntry], count: int, body: bytes = b"") -> list[SignedEntry]:
    """The same log, longer by `count` tallies."""
    made = entries[:]
    for _ in range(count):
        last = made[-1].entry
        made.append(entry(last.author, last.seq + 1, made[-1].id, incarnation=last.incarnation, ring=last.ring, body=body))
    return made
