"""Evidence opened: every signature checked, every body decoded, before ledger/evidence.py says what it proves."""

from __future__ import annotations

from typing import Any

from ctorrent.canon import Array, CanonError, decode
from ctorrent.errors import BadSignature, Malformed
from ctorrent.ledger.evidence import Link, OpenCase, OpenEvidence
from ctorrent.model.entry import Proof, ProofKind, SignedEntry
from ctorrent.model.evidence import Case, Evidence, Shown
from ctorrent.model.ids import Digest
from ctorrent.model.job import Equality, Verify
from ctorrent.model.result import Result, commitment
from ctorrent.wire import codec


def open_case(case: Case) -> OpenCase:
    """Raises a PeerError unless the manifest and every amendment carry the requester's signature."""
    job = codec.open_manifest(case.manifest)
    links = tuple(
        Link(codec.amendment_id(sealed), codec.open_amendment(sealed, job.manifest.requester)) for sealed in case.amendments
    )
    return OpenCase(job.id, job.manifest, job.sealed, links, case.secret, codec.environment_bytes(job.manifest.environment))


def open_evidence(said: Evidence) -> OpenEvidence:
    """Raises a PeerError for a signature that does not hold."""
    assignment, coordinator = codec.open_assignment(said.assigned)
    return OpenEvidence(
        said, assignment, codec.assignment_id(said.assigned), coordinator, codec.open_result(said.accused.result),
        None if said.other is None else codec.open_result(said.other),
        tuple(codec.open_result(shown.result) for shown in said.winners),
    )  # fmt: skip


def open_defence(shown: Shown, worker: str, assignment: Digest, block: Digest) -> Result:
    """A worker's own answer to an assignment, as it shows it itself. Raises a PeerError when it is not that."""
    result = codec.open_result(shown.result)
    if result.worker != worker or result.assignment != assignment:
        raise Malformed("a defence with another worker's answer, or with that to another assignment")
    lines = [line.commitment for line in result.blocks if line.block == block]
    if not lines:
        raise Malformed("a defence that says nothing about the block")
    if shown.nonce and commitment(assignment, block, result.worker, shown.nonce, Digest(shown.output)) not in lines:
        raise Malformed("a defence that opens to something else than it committed to")
    return result


def open_proof(proof: Proof) -> None:
    """Do these two signatures prove what the entry says of the accused? Raises a PeerError when not. Not for reruns."""
    one, other = proof.both
    if one.body == other.body:
        raise Malformed("a proof of one signature shown twice")
    if proof.kind is ProofKind.FORK:
        _fork(codec.open_entry(one), codec.open_entry(other), proof)
    elif proof.kind is ProofKind.EQUIVOCATION:
        if not differing(codec.open_result(one), codec.open_result(other), proof):
            raise Malformed("two results that say the same about every block that both hold")
    else:
        raise Malformed("a rerun is no proof of signatures")


def _fork(one: SignedEntry, other: SignedEntry, proof: Proof) -> None:
    places = {(signed.entry.author, signed.entry.incarnation, signed.entry.seq) for signed in (one, other)}
    if len(places) != 1 or one.entry.author != proof.accused:
        raise Malformed("two entries for two places, or of somebody else, are no fork of the accused's")


def differing(one: Result, other: Result, proof: Proof) -> list[Digest]:
    """Blocks for which the two commit to different outputs. Raises unless both are the accused's for one assignment."""
    if one.worker != proof.accused or other.worker != proof.accused or one.assignment != other.assignment:
        raise BadSignature("two results of different workers, or for different assignments, are no equivocation")
    said = {line.block: line.commitment for line in one.blocks}
    return [line.block for line in other.blocks if said.get(line.block, line.commitment) != line.commitment]


def digests_decide(verify: Verify, output: bytes) -> bool:
    """Is another digest than this output's another answer, whatever machine it came from?

    Where floats are compared with a tolerance, or what is the same is the job's own to say, two honest machines differ.
    """
    if verify.equal not in (Equality.AUTO, Equality.EXACT) or not output:
        return False
    if output[:1] != b"\x00":
        return True  # a failure: its kind and type
    try:
        return not _floating(decode(output[1:]))
    except CanonError:
        return False


def _floating(value: Any) -> bool:
    if isinstance(value, float):
        return True
    if isinstance(value, Array):
        return value.dtype[1:2] in ("f", "c")
    if isinstance(value, list):
        return any(map(_floating, value))
    return isinstance(value, dict) and any(map(_floating, value.values()))
