"""Entries of the ledger, the bodies this version knows, and batches of them."""

from __future__ import annotations

from collections.abc import Sequence

from ctorrent.errors import Malformed
from ctorrent.model.entry import Entry, Head, SignedEntry, Tally
from ctorrent.model.ids import Digest, OwnerId
from ctorrent.seal import Sealed, Signer, digest
from ctorrent.wire.codec_bounds import (
    BOUNDS,
    canonical,
    digest_of,
    few,
    node_from_wire,
    node_to_wire,
    owner_from_wire,
    owner_to_wire,
    parse,
    parse_canonical,
    ring_from_wire,
    ring_to_wire,
    seal,
    sealed_from_wire,
    sealed_to_wire,
    signed_by,
    text,
    unseal,
    whole,
)
from ctorrent.wire.pb import ledger_pb2 as pb

ENTRY_DOMAIN = "ctorrent/entry/1"


def seal_entry(entry: Entry, author: Signer) -> SignedEntry:
    """Sign with the author's node key. -> the entry with its id and bytes."""
    message = pb.Entry(
        author=node_to_wire(entry.author),
        incarnation=entry.incarnation,
        seq=entry.seq,
        prev=entry.prev,
        ring=ring_to_wire(entry.ring),
        body=entry.body,
        issued_unix_s=entry.issued_unix_s,
    )
    message.kind = entry.kind  # type: ignore[assignment]  # open: any number passes
    sealed = seal(ENTRY_DOMAIN, message, author, message.author, BOUNDS.entry_bytes)
    return SignedEntry(entry_id(sealed), entry, sealed)


def open_entry(sealed: Sealed) -> SignedEntry:
    """Check and decode the header; `body` stays bytes, since its kind may be of a newer version."""
    m = unseal(ENTRY_DOMAIN, sealed, pb.Entry, BOUNDS.entry_bytes)
    signed_by(sealed, m.author, "entry")
    return _entry(sealed, m)


def read_entry(sealed: Sealed) -> SignedEntry:
    """Decode an entry that was opened before it was stored: a tenth of the time. Raises Malformed."""
    return _entry(sealed, parse(pb.Entry, sealed.body, BOUNDS.entry_bytes))


def _entry(sealed: Sealed, m: pb.Entry) -> SignedEntry:
    entry = Entry(
        author=node_from_wire(m.author),
        incarnation=m.incarnation,
        seq=whole(m.seq, "entry seq", low=1, high=BOUNDS.large),
        prev=digest_of(m.prev, "previous entry"),
        kind=whole(m.kind, "entry kind", low=1),
        ring=ring_from_wire(m.ring),
        body=m.body,
        issued_unix_s=whole(m.issued_unix_s, "issued_unix_s", high=BOUNDS.time_s),
    )
    return SignedEntry(entry_id(sealed), entry, sealed)


def entry_id(sealed: Sealed) -> Digest:
    """What the next entry names as `prev`."""
    return Digest(digest(ENTRY_DOMAIN, sealed.body))


# Bodies --------------------------------------------------------------------------------------------------------------


def encode_tally(tally: Tally) -> bytes:
    """Body of a TALLY."""
    return canonical(
        pb.Tally(
            job_tag=tally.job_tag,
            worker=node_to_wire(tally.worker),
            worker_owner=owner_to_wire(tally.worker_owner) if tally.worker_owner else b"",
            agreed=tally.agreed,
            disputed=tally.disputed,
            invalid=tally.invalid,
            hardware_class=tally.hardware_class,
            evidence_root=tally.evidence_root,
        )
    )


def decode_tally(body: bytes) -> Tally:
    """The inverse. `worker_owner` is "" for an uncertified worker. Raises Malformed, LimitExceeded."""
    m = parse_canonical(pb.Tally, body, BOUNDS.entry_bytes)
    return Tally(
        job_tag=digest_of(m.job_tag, "job tag"),
        worker=node_from_wire(m.worker),
        worker_owner=owner_from_wire(m.worker_owner) if m.worker_owner else OwnerId(""),
        agreed=whole(m.agreed, "agreed"),
        disputed=whole(m.disputed, "disputed"),
        invalid=whole(m.invalid, "invalid"),
        hardware_class=text(m.hardware_class, "hardware class"),
        evidence_root=digest_of(m.evidence_root, "evidence root"),
    )


def encode_incarnation(last: Head | None) -> bytes:
    """Body of an INCARNATION: the last head its author knows of the one before; None when it knows none."""
    return b"" if last is None else canonical(head_to_wire(last))


def decode_incarnation(body: bytes) -> Head | None:
    """The inverse. Raises Malformed, LimitExceeded."""
    return head_from_wire(parse_canonical(pb.Head, body, BOUNDS.entry_bytes)) if body else None


# Batches -------------------------------------------------------------------------------------------------------------


def encode_entries(entries: Sequence[Sealed]) -> bytes:
    """Several entries for gossip or sync, each in the bytes its author signed. The caller keeps to its channel's limit."""
    return canonical(pb.Entries(entries=[sealed_to_wire(e) for e in entries]))


def decode_entries(data: bytes) -> list[Sealed]:
    """The inverse; each is still to be opened. Raises Malformed, LimitExceeded."""
    m = parse(pb.Entries, data, BOUNDS.frame_bytes)
    few(len(m.entries), "entries", BOUNDS.entries)
    return [sealed_from_wire(e) for e in m.entries]


def head_to_wire(head: Head) -> pb.Head:
    return pb.Head(author=node_to_wire(head.author), incarnation=head.incarnation, seq=head.seq, id=head.id)


def head_from_wire(m: pb.Head) -> Head:
    if not m.author:
        raise Malformed("a head of nobody")
    return Head(
        author=node_from_wire(m.author),
        incarnation=m.incarnation,
        seq=whole(m.seq, "head seq", high=BOUNDS.large),
        id=digest_of(m.id, "head id"),
    )
