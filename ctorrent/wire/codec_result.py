"""What a worker signs, and the outputs that open it."""

from __future__ import annotations

from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest
from ctorrent.model.result import Committed, Failure, FailureKind, Result, Usage
from ctorrent.model.session import Output
from ctorrent.seal import Sealed, Signer, digest
from ctorrent.wire.codec_bounds import (
    BOUNDS,
    digest_of,
    enum_of,
    few,
    figure,
    for_people,
    node_from_wire,
    node_to_wire,
    nonce_of,
    seal,
    signed_by,
    text,
    unseal,
    whole,
)
from ctorrent.wire.pb import result_pb2 as pb

RESULT_DOMAIN = "ctorrent/result/1"
_NO_USAGE = Usage()


def seal_result(result: Result, signer: Signer) -> Sealed:
    """Sign with the worker's key; to be journalled before it is sent, and never done twice for one assignment."""
    message = pb.Result(
        assignment=result.assignment,
        worker=node_to_wire(result.worker),
        fingerprint=result.fingerprint,
        blocks=[pb.Committed(block=c.block, commitment=c.commitment) for c in result.blocks],
        hardware_class=result.hardware_class,
    )
    return seal(RESULT_DOMAIN, message, signer, message.worker, BOUNDS.result_bytes)


def open_result(sealed: Sealed) -> Result:
    """Check and decode. Raises Malformed, LimitExceeded, BadSignature."""
    m = unseal(RESULT_DOMAIN, sealed, pb.Result, BOUNDS.result_bytes)
    signed_by(sealed, m.worker, "result")
    few(len(m.blocks), "blocks", BOUNDS.blocks)
    return Result(
        assignment=digest_of(m.assignment, "assignment id"),
        worker=node_from_wire(m.worker),
        fingerprint=digest_of(m.fingerprint, "fingerprint"),
        blocks=tuple(
            Committed(digest_of(c.block, "block digest"), digest_of(c.commitment, "commitment")) for c in m.blocks
        ),
        hardware_class=text(m.hardware_class, "hardware class"),
    )


def result_id(sealed: Sealed) -> Digest:
    """Names a result, in proofs and the journal."""
    return Digest(digest(RESULT_DOMAIN, sealed.body))


def output_to_wire(output: Output) -> pb.Output:
    return pb.Output(
        nonce=output.nonce,
        data=output.data,
        blob=output.blob,
        size_bytes=output.size_bytes,
        usage=_usage_to_wire(output.usage),
        failure=None if output.failure is None else _failure_to_wire(output.failure),
        log=output.log,
    )


def output_from_wire(m: pb.Output) -> Output:
    has_data, has_blob = m.HasField("data"), m.HasField("blob")
    if has_data == has_blob:
        raise Malformed("an output is either here or in a blob")
    size = whole(m.size_bytes, "output size", high=BOUNDS.large)
    if has_data and len(m.data) != size:
        raise Malformed(f"an output of {len(m.data)} bytes that says {size}")
    return Output(
        nonce=nonce_of(m.nonce, "output nonce"),
        data=m.data if has_data else None,
        blob=digest_of(m.blob, "output blob") if has_blob else None,
        size_bytes=size,
        usage=_usage_from_wire(m.usage) if m.HasField("usage") else _NO_USAGE,
        failure=_failure_from_wire(m.failure) if m.HasField("failure") else None,
        log=m.log,
    )


def _usage_to_wire(usage: Usage) -> pb.Usage | None:
    if usage == _NO_USAGE:
        return None
    return pb.Usage(
        cpu_s=usage.cpu_s, gpu_s=usage.gpu_s, wall_s=usage.wall_s, peak_bytes=usage.peak_bytes, same_always=usage.same_always,
        clock=usage.clock,
    )  # fmt: skip


def _usage_from_wire(m: pb.Usage) -> Usage:
    return Usage(
        figure(m.cpu_s, "cpu_s"),
        figure(m.gpu_s, "gpu_s"),
        figure(m.wall_s, "wall_s"),
        whole(m.peak_bytes, "peak_bytes", high=BOUNDS.large),
        m.same_always,
        m.clock,
    )


def _failure_to_wire(failure: Failure) -> pb.Failure:
    return pb.Failure(
        kind=pb.FailureKind.Value(f"FAILURE_KIND_{failure.kind.name}"),
        type=for_people(failure.type, BOUNDS.type_chars),
        text=for_people(failure.text, BOUNDS.failure_chars),
    )


def _failure_from_wire(m: pb.Failure) -> Failure:
    return Failure(
        enum_of(FailureKind, m.kind, "failure kind"),
        text(m.type, "failure type", BOUNDS.type_chars),
        text(m.text, "failure text", BOUNDS.failure_chars),
    )
