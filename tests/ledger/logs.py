"""Entries for tests: real chains of ids, without the cost of real signatures (the rooms under test never see one)."""

from __future__ import annotations

from ctorrent.ledger.chain import NOTHING, Chain
from ctorrent.model.entry import Entry, EntryKind, SignedEntry
from ctorrent.model.ids import Digest, NodeId, Ring, RingKind, node_id
from ctorrent.seal import Sealed, digest

PUBLIC = Ring(RingKind.PUBLIC)


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
