"""Bodies of the ledger's rarer entries: receipts, proofs, certificates, rotations, checkpoints."""

from __future__ import annotations

from ctorrent.errors import Malformed
from ctorrent.model.entry import Checkpoint, Proof, ProofKind, Rotation, Sum, Work
from ctorrent.model.ids import OwnerId
from ctorrent.seal import Sealed, Signer, verify
from ctorrent.wire.codec_bounds import (
    BOUNDS,
    canonical,
    decode_sealed,
    digest_of,
    encode_sealed,
    enum_of,
    few,
    figure,
    node_from_wire,
    node_to_wire,
    owner_from_wire,
    owner_to_wire,
    parse_canonical,
    sealed_from_wire,
    sealed_to_wire,
    signed_by,
    unseal,
    whole,
)
from ctorrent.wire.codec_ledger import head_from_wire, head_to_wire
from ctorrent.wire.pb import ledger_pb2 as pb

RECEIPT_DOMAIN = "ctorrent/receipt/1"
ROTATION_DOMAIN = "ctorrent/rotation/1"


# Receipts ------------------------------------------------------------------------------------------------------------


def encode_work(work: Work) -> bytes:
    """What a requester asks its worker to sign."""
    return canonical(
        pb.Work(
            job_tag=work.job_tag,
            requester=node_to_wire(work.requester),
            worker=node_to_wire(work.worker),
            requester_owner=_owner_to_wire(work.requester_owner),
            worker_owner=_owner_to_wire(work.worker_owner),
            number=work.number,
            blocks=work.blocks,
            core_hours=work.core_hours,
            gpu_hours=work.gpu_hours,
            credits=work.credits,
        )
    )


def decode_work(body: bytes) -> Work:
    """The inverse. Raises Malformed, LimitExceeded."""
    return _work(parse_canonical(pb.Work, body, BOUNDS.work_bytes))


def seal_work(work: Work, worker: Signer) -> Sealed:
    """The worker's half of a receipt."""
    if node_to_wire(work.worker) != worker.public:
        raise ValueError("a receipt is signed by the worker that it names")
    return worker.sign(RECEIPT_DOMAIN, encode_work(work))


def open_work(sealed: Sealed) -> Work:
    """Check the worker's signature and decode. Raises a PeerError."""
    m = unseal(RECEIPT_DOMAIN, sealed, pb.Work, BOUNDS.work_bytes)
    signed_by(sealed, m.worker, "receipt")
    return _work(m)


def encode_receipt(sealed: Sealed) -> bytes:
    """Body of a RECEIPT, whose entry is the requester's: with it both have signed."""
    return encode_sealed(sealed)


def decode_receipt(body: bytes) -> Work:
    """The inverse, opened. Raises a PeerError."""
    sealed = decode_sealed(body, BOUNDS.entry_bytes)
    if encode_sealed(sealed) != body:
        raise Malformed("receipt: not the canonical bytes of what it says")
    return open_work(sealed)


def _work(m: pb.Work) -> Work:
    return Work(
        job_tag=digest_of(m.job_tag, "job tag"),
        requester=node_from_wire(m.requester),
        worker=node_from_wire(m.worker),
        requester_owner=_owner_from_wire(m.requester_owner),
        worker_owner=_owner_from_wire(m.worker_owner),
        number=whole(m.number, "receipt number", low=1),
        blocks=whole(m.blocks, "blocks"),
        core_hours=figure(m.core_hours, "core-hours"),
        gpu_hours=figure(m.gpu_hours, "GPU-hours"),
        credits=figure(m.credits, "credits"),
    )


# Proofs --------------------------------------------------------------------------------------------------------------


def encode_proof(proof: Proof) -> bytes:
    """Body of a PROOF."""
    return canonical(
        pb.Proof(
            kind=pb.ProofKind.Value(f"PROOF_KIND_{proof.kind.name}"),
            accused=node_to_wire(proof.accused),
            both=[sealed_to_wire(sealed) for sealed in proof.both],
            leaf=proof.leaf,
            output=proof.output,
        )
    )


def decode_proof(body: bytes) -> Proof:
    """The inverse; what `both` proves is for the reader to check. Raises Malformed, LimitExceeded."""
    m = parse_canonical(pb.Proof, body, BOUNDS.entry_bytes)
    kind = enum_of(ProofKind, m.kind, "proof")
    if len(m.both) not in ((0,) if kind is ProofKind.RERUN else (0, 2)):
        raise Malformed("a proof of two signatures holds two or names them, one of a rerun holds none")
    leaf = digest_of(m.leaf, "leaf") if not m.both else b""  # of signatures too large for an entry: their pair's name
    output = digest_of(m.output, "output") if kind is ProofKind.RERUN else b""
    return Proof(kind, node_from_wire(m.accused), tuple(sealed_from_wire(sealed) for sealed in m.both), leaf, output)


# Keys ----------------------------------------------------------------------------------------------------------------


def seal_rotation(rotation: Rotation, old: Signer, new: Signer) -> bytes:
    """Body of a ROTATION, signed by both keys of the owner."""
    m = pb.Rotation(old=owner_to_wire(rotation.old), new=owner_to_wire(rotation.new), issued_unix_s=rotation.issued_unix_s)
    if (old.public, new.public) != (m.old, m.new):
        raise ValueError("a rotation is signed by the keys that it names")
    body = canonical(m)
    return canonical(pb.Rotated(
        by_old=sealed_to_wire(old.sign(ROTATION_DOMAIN, body)), by_new=sealed_to_wire(new.sign(ROTATION_DOMAIN, body))
    ))  # fmt: skip


def open_rotation(body: bytes) -> Rotation:
    """Check both signatures and decode. Raises a PeerError."""
    m = parse_canonical(pb.Rotated, body, BOUNDS.entry_bytes)
    by_old, by_new = sealed_from_wire(m.by_old), sealed_from_wire(m.by_new)
    if by_old.body != by_new.body:
        raise Malformed("the two keys of a rotation signed different things")
    said = unseal(ROTATION_DOMAIN, by_old, pb.Rotation, BOUNDS.vouch_bytes)
    verify(ROTATION_DOMAIN, by_new)
    signed_by(by_old, said.old, "rotation")
    signed_by(by_new, said.new, "rotation")
    issued = whole(said.issued_unix_s, "issued_unix_s", high=BOUNDS.time_s)
    return Rotation(owner_from_wire(said.old), owner_from_wire(said.new), issued)


# Checkpoints ---------------------------------------------------------------------------------------------------------


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """Body of a CHECKPOINT: at most `Bounds.sums` of them."""
    sums = [
        pb.Sum(
            worker=node_to_wire(s.worker), worker_owner=_owner_to_wire(s.worker_owner),
            agreed=s.agreed, disputed=s.disputed, invalid=s.invalid,
        )
        for s in sorted(checkpoint.sums, key=lambda s: node_to_wire(s.worker))
    ]  # fmt: skip
    return canonical(pb.Checkpoint(
        head=head_to_wire(checkpoint.head), part=checkpoint.part, parts=checkpoint.parts, sums=sums, credits=checkpoint.credits
    ))  # fmt: skip


def decode_checkpoint(body: bytes) -> Checkpoint:
    """The inverse. Raises Malformed, LimitExceeded."""
    m = parse_canonical(pb.Checkpoint, body, BOUNDS.entry_bytes)
    few(len(m.sums), "sums", BOUNDS.sums)
    sums = tuple(
        Sum(
            node_from_wire(s.worker), _owner_from_wire(s.worker_owner), whole(s.agreed, "agreed"),
            whole(s.disputed, "disputed"), whole(s.invalid, "invalid"),
        )
        for s in m.sums
    )  # fmt: skip
    if any(one.worker >= other.worker for one, other in zip(m.sums, m.sums[1:], strict=False)):
        raise Malformed("sums of a checkpoint ascend by worker")
    parts = whole(m.parts, "parts", low=1)
    return Checkpoint(head_from_wire(m.head), whole(m.part, "part", high=parts - 1), parts, sums, figure(m.credits, "credits"))


def _owner_to_wire(owner: OwnerId) -> bytes:
    return owner_to_wire(owner) if owner else b""


def _owner_from_wire(raw: bytes) -> OwnerId:
    return owner_from_wire(raw) if raw else OwnerId("")
