"""What an entry says, as a plain map for the door: one function a kind."""

from __future__ import annotations

from collections.abc import Callable

from ctorrent.errors import PeerError
from ctorrent.model.entry import EntryKind, SignedEntry
from ctorrent.wire import codec

Plain = dict[str, object]


def body(signed: SignedEntry) -> Plain:
    """The body of a kind that is known; of another, how long it is; of one that cannot be read, why."""
    read = _READERS.get(signed.entry.kind)
    if read is None:
        return {"bytes": len(signed.entry.body)}
    try:
        return read(signed.entry.body)
    except PeerError as error:
        return {"unreadable": error.message}


def _tally(raw: bytes) -> Plain:
    tally = codec.decode_tally(raw)
    return {
        "job": tally.job_tag.hex()[:16], "worker": tally.worker, "owner": tally.worker_owner, "agreed": tally.agreed,
        "disputed": tally.disputed, "invalid": tally.invalid, "class": tally.hardware_class,
        "evidence": tally.evidence_root.hex(),
    }  # fmt: skip


def _receipt(raw: bytes) -> Plain:
    work = codec.decode_receipt(raw)
    return {
        "job": work.job_tag.hex()[:16], "computed_by": work.worker, "for": work.requester, "number": work.number, "blocks": work.blocks,
        "core_hours": work.core_hours, "gpu_hours": work.gpu_hours, "credits": work.credits,
    }  # fmt: skip


def _proof(raw: bytes) -> Plain:
    proof = codec.decode_proof(raw)
    return {"proof": proof.kind.name.lower(), "accused": proof.accused}


def _certificate(raw: bytes) -> Plain:
    certificate = codec.open_certificate(codec.decode_sealed(raw, codec.BOUNDS.entry_bytes))
    return {"owner": certificate.owner, "node": certificate.node}


def _rotation(raw: bytes) -> Plain:
    rotation = codec.open_rotation(raw)
    return {"old": rotation.old, "new": rotation.new}


def _checkpoint(raw: bytes) -> Plain:
    said = codec.decode_checkpoint(raw)
    return {
        "stands_for": f"{said.head.incarnation}.{said.head.seq} and before", "part": f"{said.part + 1} of {said.parts}",
        "workers": len(said.sums), "blocks": sum(one.agreed + one.disputed + one.invalid for one in said.sums),
    }  # fmt: skip


def _incarnation(raw: bytes) -> Plain:
    head = codec.decode_incarnation(raw)
    return {"follows": "nothing" if head is None else f"{head.incarnation}.{head.seq}"}


_READERS: dict[int, Callable[[bytes], Plain]] = {
    EntryKind.TALLY: _tally, EntryKind.RECEIPT: _receipt, EntryKind.PROOF: _proof, EntryKind.CERTIFICATE: _certificate,
    EntryKind.ROTATION: _rotation, EntryKind.CHECKPOINT: _checkpoint, EntryKind.INCARNATION: _incarnation,
}  # fmt: skip
