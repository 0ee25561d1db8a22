"""A ledger as a file: entries in the bytes their authors signed, one after the other, and into another node.

    b"ctorrent ledger 1\\n", then per entry: u32 length ‖ sealed entry; at the end: u32 0 ‖ u64 how many there were
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import trio

from ctorrent.errors import BadSignature, LocalError, PeerError
from ctorrent.ledger.chain import Accept, Duplicate, ForkProof, Ignored, Parked, Refuse
from ctorrent.model.ids import NodeId, Ring, node_public
from ctorrent.node import records
from ctorrent.node.ledgerbook import Ledgerbook
from ctorrent.ports import Journal
from ctorrent.wire import codec

MAGIC = b"ctorrent ledger 1\n"
PIECE_BYTES = 256 << 10  # of a file, at once
PAGE_ROWS = 256
ENTRIES_MAX = 256  # of one call that brings entries: 4 MiB at most, and a twentieth of a second of checking
LOOK_EVERY = 32  # entries between two turns of whoever else has something to do


async def pieces(journal: Journal, rings: Sequence[Ring], author: NodeId | None) -> AsyncIterator[bytes]:
    """The file, in order. rings: only entries of these; none: of all. Entries that come meanwhile may be in it or not."""
    out, count, key = bytearray(MAGIC), 0, b""
    prefix = b"" if author is None else node_public(author)
    while rows := journal.scan("entry", prefix, PAGE_ROWS, key):
        key = rows[-1][0]
        for _, value in rows:
            sealed = records.unpack_sealed(records.load(value))
            if rings and codec.read_entry(sealed).entry.ring not in rings:
                continue
            body = codec.encode_sealed(sealed)
            out += len(body).to_bytes(4, "big") + body
            count += 1
        if len(out) >= PIECE_BYTES:
            yield bytes(out)
            out.clear()
        await trio.lowlevel.checkpoint()
    yield bytes(out) + bytes(4) + count.to_bytes(8, "big")


def rings_named(rings: Sequence[Ring], word: str) -> list[Ring]:
    """Rings that a person means: "public", "friends", "swarm", or one with its root or the beginning of that. Raises LocalError."""
    kind, _, root = word.partition(":")
    found = [ring for ring in rings if str(ring).split(":")[0] == kind and str(ring).partition(":")[2].startswith(root)]
    if not found:
        known = ", ".join(sorted({str(ring).split(":")[0] for ring in rings}))
        raise LocalError(f"{word!r:.100} is no ring of this node", f"It is in: {known}; a root may follow, as in friends:own_ab….")
    return found


@dataclass(slots=True)
class Brought:
    """What became of entries from a file; nobody is charged for any."""

    new: int = 0
    known: int = 0
    waiting: int = 0  # for entries before them that are not here
    forks: int = 0
    elsewhere: int = 0  # of rings that this node is not in, or for which it has no room
    refused: int = 0
    why: str = ""  # of the first that was refused


async def bring(book: Ledgerbook, rings: Sequence[Ring], entries: Sequence[bytes]) -> Brought:
    """Check and chain entries of a file, in its order. What is held already, byte for byte, was checked when it came.

    Waits until the node has read its stored ledger. Raises LocalError for more than one call may bring.
    """
    if len(entries) > ENTRIES_MAX:
        raise LocalError(f"{len(entries)} entries at once", f"At most {ENTRIES_MAX} go into one call.")
    await book.wait_whole()
    found = Brought()
    for at, raw in enumerate(entries):
        if at % LOOK_EVERY == 0:
            await trio.lowlevel.checkpoint()
        try:
            sealed = codec.decode_sealed(raw, codec.BOUNDS.frame_bytes)
        except PeerError:
            found.refused, found.why = found.refused + 1, found.why or f"what stands there, of {len(raw):,} bytes, is no ledger entry"
            continue
        try:
            if book.holds(sealed):
                found.known += 1
                continue
            signed = codec.open_entry(sealed)
        except BadSignature:
            found.refused, found.why = found.refused + 1, found.why or "an entry's signature does not hold"
            continue
        except PeerError as error:
            found.refused, found.why = found.refused + 1, found.why or error.message
            continue
        if signed.entry.ring not in rings or not book.welcome(signed):
            found.elsewhere += 1
            continue
        effects = book.chain.add(signed, begins=True)
        found.waiting -= max(0, sum(isinstance(effect, Accept) for effect in effects) - 1)  # those this one let in
        for effect in effects:
            match effect:
                case Accept():
                    found.new += 1
                case Parked():
                    found.waiting += 1
                case Duplicate() | Ignored():
                    found.known += 1
                case ForkProof():
                    found.forks += 1
                case Refuse(why=why):
                    found.refused, found.why = found.refused + 1, found.why or why
                case _:
                    pass
        await book.take(effects)
    return found
