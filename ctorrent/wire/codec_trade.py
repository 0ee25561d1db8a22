"""Announcement, bid, assignment, and the typed no."""

from __future__ import annotations

from typing import Final

from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.model.job import Isolation
from ctorrent.model.trade import Announcement, Assignment, Bid, No, NoReason
from ctorrent.seal import Sealed, Signer, digest
from ctorrent.wire.codec_bounds import (
    BOUNDS,
    canonical,
    digest_of,
    enum_of,
    few,
    figure,
    for_people,
    node_from_wire,
    node_to_wire,
    nonce_of,
    ring_from_wire,
    ring_to_wire,
    seal,
    signed_by,
    text,
    unseal,
    whole,
)
from ctorrent.wire.codec_job import environment_from_wire, environment_to_wire, needs_from_wire, needs_to_wire
from ctorrent.wire.pb import job_pb2
from ctorrent.wire.pb import trade_pb2 as pb

ANNOUNCEMENT_DOMAIN = "ctorrent/announcement/1"
BID_DOMAIN = "ctorrent/bid/1"
ASSIGNMENT_DOMAIN = "ctorrent/assignment/1"


def seal_announcement(announcement: Announcement, signer: Signer) -> Sealed:
    """Sign with the requester's key. ValueError above names.ANNOUNCEMENT_BYTES_MAX, seal included."""
    message = pb.Announcement(
        job=announcement.job,
        requester=node_to_wire(announcement.requester),
        round=announcement.round,
        ring=ring_to_wire(announcement.ring),
        needs=needs_to_wire(announcement.needs),
        environment=environment_to_wire(announcement.environment),
        bids_wanted=announcement.bids_wanted,
        ttl_s=announcement.ttl_s,
        price_max=announcement.price_max,
        peer_record=announcement.peer_record,
    )
    return seal(ANNOUNCEMENT_DOMAIN, message, signer, message.requester, BOUNDS.announcement_bytes)


def open_announcement(sealed: Sealed) -> Announcement:
    """Check and decode. Raises Malformed, LimitExceeded, BadSignature. The peer record inside is not opened here."""
    m = unseal(ANNOUNCEMENT_DOMAIN, sealed, pb.Announcement, BOUNDS.announcement_bytes)
    signed_by(sealed, m.requester, "announcement")
    return Announcement(
        job=JobId(digest_of(m.job, "job id")),
        requester=node_from_wire(m.requester),
        round=whole(m.round, "round", low=1),
        ring=ring_from_wire(m.ring),
        needs=needs_from_wire(m.needs),
        environment=environment_from_wire(m.environment),
        bids_wanted=whole(m.bids_wanted, "bids wanted"),
        ttl_s=figure(m.ttl_s, "ttl_s"),
        price_max=figure(m.price_max, "price"),
        peer_record=m.peer_record,
    )


def seal_bid(bid: Bid, signer: Signer) -> Sealed:
    """Sign with the worker's key."""
    message = pb.Bid(
        job=bid.job,
        worker=node_to_wire(bid.worker),
        session_nonce=bid.session_nonce,
        slots=bid.slots,
        credit=bid.credit,
        fingerprint=bid.fingerprint,
        isolation=job_pb2.Isolation.Value(f"ISOLATION_{Isolation(bid.isolation).name}"),
        hardware_class=bid.hardware_class,
        speed_gflops=bid.speed_gflops,
        price=bid.price,
        amendment_head=bid.amendment_head,
    )
    return seal(BID_DOMAIN, message, signer, message.worker, BOUNDS.bid_bytes)


def open_bid(sealed: Sealed) -> Bid:
    """Check and decode. Whether the nonce is the one that was given is the coordinator's to check."""
    m = unseal(BID_DOMAIN, sealed, pb.Bid, BOUNDS.bid_bytes)
    signed_by(sealed, m.worker, "bid")
    return Bid(
        job=JobId(digest_of(m.job, "job id")),
        worker=node_from_wire(m.worker),
        session_nonce=nonce_of(m.session_nonce, "session nonce"),
        slots=whole(m.slots, "slots", low=1, high=BOUNDS.cores),
        credit=whole(m.credit, "credit", low=1),
        fingerprint=digest_of(m.fingerprint, "fingerprint"),
        isolation=enum_of(Isolation, m.isolation, "isolation").value,
        hardware_class=text(m.hardware_class, "hardware class"),
        speed_gflops=figure(m.speed_gflops, "speed"),
        price=figure(m.price, "price"),
        amendment_head=digest_of(m.amendment_head, "amendment head"),
    )


def seal_assignment(assignment: Assignment, signer: Signer) -> Sealed:
    """Sign with the coordinator's key."""
    return seal(ASSIGNMENT_DOMAIN, _assignment_to_wire(assignment), signer, signer.public, BOUNDS.assignment_bytes)


def assignment_bytes(assignment: Assignment) -> bytes:
    """The bytes that seal_assignment signs: whoever kept the signature and the fields has the seal again."""
    return canonical(_assignment_to_wire(assignment))


def _assignment_to_wire(assignment: Assignment) -> pb.Assignment:
    return pb.Assignment(
        job=assignment.job,
        term=assignment.term,
        amendment_head=assignment.amendment_head,
        worker=node_to_wire(assignment.worker),
        nonce=assignment.nonce,
        lease_s=assignment.lease_s,
        blocks=assignment.blocks,
    )


def open_assignment(sealed: Sealed) -> tuple[Assignment, NodeId]:
    """The assignment and who signed it: whether that key coordinates this job in this term is the worker's to check."""
    m = unseal(ASSIGNMENT_DOMAIN, sealed, pb.Assignment, BOUNDS.assignment_bytes)
    few(len(m.blocks), "blocks", BOUNDS.blocks)
    if not m.blocks:
        raise Malformed("an assignment of no block")
    assignment = Assignment(
        job=JobId(digest_of(m.job, "job id")),
        term=whole(m.term, "term", low=1),
        amendment_head=digest_of(m.amendment_head, "amendment head"),
        worker=node_from_wire(m.worker),
        nonce=nonce_of(m.nonce, "assignment nonce"),
        lease_s=figure(m.lease_s, "lease_s"),
        blocks=tuple(digest_of(b, "block digest") for b in m.blocks),
    )
    return assignment, node_from_wire(sealed.public)


def assignment_id(sealed: Sealed) -> Digest:
    """What a result names."""
    return Digest(digest(ASSIGNMENT_DOMAIN, sealed.body))


# Refusals ------------------------------------------------------------------------------------------------------------

_REASONS: Final = {pb.NoReason.Value(f"NO_REASON_{r.name}"): r for r in NoReason}
_NUMBERS: Final = {reason: number for number, reason in _REASONS.items()}


def no_to_wire(no: No) -> pb.No:
    return pb.No(reason=_NUMBERS[no.reason], detail=for_people(no.detail, BOUNDS.detail_chars))


def no_from_wire(m: pb.No) -> No:
    """A reason of a newer version is still a no."""
    return No(_REASONS.get(m.reason, NoReason.OTHER), text(m.detail, "detail", BOUNDS.detail_chars))
