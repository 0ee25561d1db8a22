"""Messages of a channel: one byte of kind, then the message. An unknown kind decodes to Unknown, never to an error.

Kinds 1-31 are the session's, 32-39 of joining, 40-47 of blobs, 48-63 kept for the ledger. A number is never used again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message as WireMessage

from ctorrent.errors import LimitExceeded, Malformed
from ctorrent.model import session as s
from ctorrent.model.block import Block, InputRef
from ctorrent.model.ids import JobId
from ctorrent.wire import codec_bounds as b
from ctorrent.wire.codec_bounds import BOUNDS, digest_of, few, nonce_of, sealed_from_wire, sealed_to_wire, text, whole
from ctorrent.wire.codec_result import output_from_wire, output_to_wire
from ctorrent.wire.codec_trade import no_from_wire, no_to_wire
from ctorrent.wire.pb import session_pb2 as pb

_PORT_MAX = 65_535
_FORBIDDEN_NAMES = ("", ".", "..")


def encode_message(message: s.Message) -> bytes:
    """A frame's content. ValueError above names.FRAME_BYTES_MAX, or for Unknown: our own bug, the sender splits."""
    kind = _BY_MODEL.get(type(message))
    if kind is None:
        raise ValueError(f"{type(message).__name__} is not a thing one sends")
    data = bytes((kind.number,)) + kind.write(message).SerializeToString()
    if len(data) > BOUNDS.frame_bytes:
        raise ValueError(f"{type(message).__name__} of {len(data)} bytes: a frame holds {BOUNDS.frame_bytes}")
    return data


def decode_message(data: bytes) -> s.Message:
    """The inverse; what is sealed inside is still to be opened. Raises Malformed, LimitExceeded."""
    if len(data) > BOUNDS.frame_bytes:
        raise LimitExceeded(f"a frame of {len(data)} bytes: at most {BOUNDS.frame_bytes}")
    if not data:
        raise Malformed("an empty frame")
    kind = _BY_NUMBER.get(data[0])
    if kind is None:
        return s.Unknown(data[0])
    message: s.Message = kind.read(b.parse(kind.wire, data[1:], BOUNDS.frame_bytes))
    return message


def _job(raw: bytes) -> JobId:
    return JobId(digest_of(raw, "job id"))


# Who speaks ----------------------------------------------------------------------------------------------------------


def _introduction_to_wire(m: s.Introduction) -> pb.Introduction:
    return pb.Introduction(
        certificate=sealed_to_wire(m.certificate) if m.certificate else None,
        memberships=[pb.Chain(links=[sealed_to_wire(link) for link in chain]) for chain in m.memberships],
        name=b.for_people(m.name, BOUNDS.label_chars),
        version=b.for_people(m.version, BOUNDS.label_chars),
        offer=m.offer,
    )


def _introduction_from_wire(m: pb.Introduction) -> s.Introduction:
    few(len(m.memberships), "memberships", BOUNDS.chains)
    for chain in m.memberships:
        few(len(chain.links), "membership links", BOUNDS.links)
    return s.Introduction(
        certificate=sealed_from_wire(m.certificate) if m.HasField("certificate") else None,
        memberships=tuple(tuple(sealed_from_wire(link) for link in chain.links) for chain in m.memberships),
        name=text(m.name, "name"),
        version=text(m.version, "version"),
        offer=m.offer,
    )


# The job and the bid -------------------------------------------------------------------------------------------------


def _interest_from_wire(m: pb.Interest) -> s.Interest:
    return s.Interest(_job(m.job), whole(m.round, "round"))


def _describe_to_wire(m: s.Describe) -> pb.Describe:
    return pb.Describe(
        job=m.job,
        nonce=m.nonce,
        manifest=sealed_to_wire(m.manifest),
        amendments=[sealed_to_wire(a) for a in m.amendments],
        job_secret=m.job_secret,
    )


def _describe_from_wire(m: pb.Describe) -> s.Describe:
    few(len(m.amendments), "amendments", BOUNDS.amendments)
    if len(m.job_secret) > 64:  # a hash's worth of randomness is 32
        raise LimitExceeded("a job secret is at most 64 bytes")
    return s.Describe(
        job=_job(m.job),
        nonce=nonce_of(m.nonce, "session nonce"),
        manifest=sealed_from_wire(m.manifest),
        amendments=tuple(sealed_from_wire(a) for a in m.amendments),
        job_secret=m.job_secret,
    )


def _declined_from_wire(m: pb.Declined) -> s.Declined:
    return s.Declined(_job(m.job), no_from_wire(m.no), b.figure(m.retry_s, "retry_s"))


def _no_thanks_from_wire(m: pb.NoThanks) -> s.NoThanks:
    few(len(m.reasons), "reasons", BOUNDS.reasons)
    return s.NoThanks(_job(m.job), tuple(no_from_wire(r) for r in m.reasons))


def _engaged_from_wire(m: pb.Engaged) -> s.Engaged:
    return s.Engaged(_job(m.job), whole(m.credit, "credit"))


# Work ----------------------------------------------------------------------------------------------------------------


def _block_to_wire(block: Block) -> pb.Block:
    return pb.Block(
        index=block.index,
        seed=block.seed,
        params=block.params,
        inputs=[pb.InputRef(name=i.name, digest=i.digest, size_bytes=i.size_bytes) for i in block.inputs],
    )


def _block_from_wire(m: pb.Block) -> Block:
    inputs = m.inputs
    if not inputs:
        return Block(whole(m.index, "block index", high=BOUNDS.large), m.seed, m.params)
    few(len(inputs), "inputs", BOUNDS.inputs)
    return Block(
        whole(m.index, "block index", high=BOUNDS.large),
        m.seed,
        m.params,
        tuple(_input_from_wire(i) for i in inputs),
    )


def _input_from_wire(m: pb.InputRef) -> InputRef:
    name = m.name
    if name in _FORBIDDEN_NAMES or "/" in name or "\\" in name or "\0" in name:
        raise Malformed("an input's name is a plain file name")
    if len(name.encode()) > BOUNDS.file_name_bytes:
        raise LimitExceeded(f"an input's name has at most {BOUNDS.file_name_bytes} bytes")
    return InputRef(name, digest_of(m.digest, "input digest"), whole(m.size_bytes, "input size", high=BOUNDS.large))


def _assign_to_wire(m: s.Assign) -> pb.Assign:
    return pb.Assign(assignment=sealed_to_wire(m.assignment), blocks=[_block_to_wire(block) for block in m.blocks])


def _assign_from_wire(m: pb.Assign) -> s.Assign:
    few(len(m.blocks), "blocks", BOUNDS.blocks)
    return s.Assign(sealed_from_wire(m.assignment), tuple(_block_from_wire(block) for block in m.blocks))


def _returned_to_wire(m: s.Returned) -> pb.Returned:
    return pb.Returned(
        result=sealed_to_wire(m.result),
        outputs=[output_to_wire(output) for output in m.outputs],
        first=m.first,
        last=m.last,
    )


def _returned_from_wire(m: pb.Returned) -> s.Returned:
    few(len(m.outputs), "outputs", BOUNDS.blocks)
    return s.Returned(
        result=sealed_from_wire(m.result),
        outputs=tuple(output_from_wire(output) for output in m.outputs),
        first=whole(m.first, "first output", high=BOUNDS.blocks),
        last=m.last,
    )


def _hand_back_from_wire(m: pb.HandBack) -> s.HandBack:
    return s.HandBack(digest_of(m.assignment, "assignment id"), no_from_wire(m.no))


def _progress_from_wire(m: pb.Progress) -> s.Progress:
    return s.Progress(
        digest_of(m.assignment, "assignment id"), whole(m.index, "block index", high=BOUNDS.large), m.log
    )


# Other protocols -----------------------------------------------------------------------------------------------------


def _join_answer_to_wire(m: s.JoinAnswer) -> pb.JoinAnswer:
    return pb.JoinAnswer(
        links=[sealed_to_wire(link) for link in m.links],
        certificate=sealed_to_wire(m.certificate) if m.certificate else None,
        reason=b.for_people(m.reason, BOUNDS.detail_chars),
    )


def _join_answer_from_wire(m: pb.JoinAnswer) -> s.JoinAnswer:
    few(len(m.links), "membership links", BOUNDS.links)
    return s.JoinAnswer(
        links=tuple(sealed_from_wire(link) for link in m.links),
        certificate=sealed_from_wire(m.certificate) if m.HasField("certificate") else None,
        reason=text(m.reason, "reason", BOUNDS.detail_chars),
    )


def _blob_head_to_wire(m: s.BlobHead) -> pb.BlobHead:
    return pb.BlobHead(size_bytes=None if m.size_bytes < 0 else m.size_bytes)


def _blob_head_from_wire(m: pb.BlobHead) -> s.BlobHead:
    return s.BlobHead(whole(m.size_bytes, "blob size", high=BOUNDS.large) if m.HasField("size_bytes") else -1)


# The table -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    number: int
    model: type
    wire: type[WireMessage]
    write: Callable[[Any], WireMessage]
    read: Callable[[Any], Any]


def _inquiry_from_wire(m: pb.Inquiry) -> s.Inquiry:
    token = nonce_of(m.token, "token") if m.token else b""
    return s.Inquiry(token, whole(m.port, "port", high=_PORT_MAX))


def _findings_from_wire(m: pb.Findings) -> s.Findings:
    clock = whole(m.clock_unix_s, "clock_unix_s", high=BOUNDS.time_s)
    return s.Findings(clock, *(text(value, name) for name, value in (("invite", m.invite), ("seen_at", m.seen_at), ("knock", m.knock))))


_KINDS = (
    _Kind(1, s.Introduction, pb.Introduction, _introduction_to_wire, _introduction_from_wire),
    _Kind(2, s.Interest, pb.Interest, lambda m: pb.Interest(job=m.job, round=m.round), _interest_from_wire),
    _Kind(3, s.Describe, pb.Describe, _describe_to_wire, _describe_from_wire),
    _Kind(
        4,
        s.Declined,
        pb.Declined,
        lambda m: pb.Declined(job=m.job, no=no_to_wire(m.no), retry_s=m.retry_s),
        _declined_from_wire,
    ),
    _Kind(
        5,
        s.Offered,
        pb.Offered,
        lambda m: pb.Offered(bid=sealed_to_wire(m.bid)),
        lambda m: s.Offered(sealed_from_wire(m.bid)),
    ),
    _Kind(
        6,
        s.NoThanks,
        pb.NoThanks,
        lambda m: pb.NoThanks(job=m.job, reasons=[no_to_wire(r) for r in m.reasons]),
        _no_thanks_from_wire,
    ),
    _Kind(7, s.Engaged, pb.Engaged, lambda m: pb.Engaged(job=m.job, credit=m.credit), _engaged_from_wire),
    _Kind(8, s.Assign, pb.Assign, _assign_to_wire, _assign_from_wire),
    _Kind(9, s.Returned, pb.Returned, _returned_to_wire, _returned_from_wire),
    _Kind(
        10,
        s.HandBack,
        pb.HandBack,
        lambda m: pb.HandBack(assignment=m.assignment, no=no_to_wire(m.no)),
        _hand_back_from_wire,
    ),
    _Kind(
        11,
        s.Revoke,
        pb.Revoke,
        lambda m: pb.Revoke(assignment=m.assignment),
        lambda m: s.Revoke(digest_of(m.assignment, "assignment id")),
    ),
    _Kind(
        12,
        s.Amended,
        pb.Amended,
        lambda m: pb.Amended(amendment=sealed_to_wire(m.amendment)),
        lambda m: s.Amended(sealed_from_wire(m.amendment)),
    ),
    _Kind(13, s.Finished, pb.Finished, lambda m: pb.Finished(job=m.job), lambda m: s.Finished(_job(m.job))),
    _Kind(
        14,
        s.Progress,
        pb.Progress,
        lambda m: pb.Progress(assignment=m.assignment, index=m.index, log=m.log),
        _progress_from_wire,
    ),
    _Kind(
        15,
        s.UnsupportedKind,
        pb.UnsupportedKind,
        lambda m: pb.UnsupportedKind(kind=m.kind),
        lambda m: s.UnsupportedKind(whole(m.kind, "kind", high=255)),
    ),
    _Kind(
        16,
        s.Acknowledged,
        pb.Acknowledged,
        lambda m: pb.Acknowledged(assignment=m.assignment),
        lambda m: s.Acknowledged(digest_of(m.assignment, "assignment id")),
    ),
    _Kind(
        17,
        s.Billed,
        pb.Billed,
        lambda m: pb.Billed(job=m.job, work=m.work),
        lambda m: s.Billed(_job(m.job), b.short(m.work, "work", BOUNDS.work_bytes)),
    ),
    _Kind(
        18,
        s.Countersigned,
        pb.Countersigned,
        lambda m: pb.Countersigned(job=m.job, work=sealed_to_wire(m.work)),
        lambda m: s.Countersigned(_job(m.job), sealed_from_wire(m.work)),
    ),
    _Kind(
        32,
        s.JoinRequest,
        pb.JoinRequest,
        lambda m: pb.JoinRequest(token=m.token, certificate=sealed_to_wire(m.certificate)),
        lambda m: s.JoinRequest(nonce_of(m.token, "token"), sealed_from_wire(m.certificate)),
    ),
    _Kind(33, s.JoinAnswer, pb.JoinAnswer, _join_answer_to_wire, _join_answer_from_wire),
    _Kind(
        34,
        s.FriendRequest,
        pb.FriendRequest,
        lambda m: pb.FriendRequest(certificate=sealed_to_wire(m.certificate), name=b.for_people(m.name, BOUNDS.label_chars)),
        lambda m: s.FriendRequest(sealed_from_wire(m.certificate), text(m.name, "name")),
    ),
    _Kind(35, s.Inquiry, pb.Inquiry, lambda m: pb.Inquiry(token=m.token, port=m.port), _inquiry_from_wire),
    _Kind(
        36,
        s.Findings,
        pb.Findings,
        lambda m: pb.Findings(clock_unix_s=m.clock_unix_s, invite=m.invite, seen_at=m.seen_at, knock=m.knock),
        _findings_from_wire,
    ),
    _Kind(
        40,
        s.BlobRequest,
        pb.BlobRequest,
        lambda m: pb.BlobRequest(blob=m.blob, offset=m.offset),
        lambda m: s.BlobRequest(digest_of(m.blob, "blob"), whole(m.offset, "offset", high=BOUNDS.large)),
    ),
    _Kind(41, s.BlobHead, pb.BlobHead, _blob_head_to_wire, _blob_head_from_wire),
)
_BY_NUMBER = {kind.number: kind for kind in _KINDS}
_BY_MODEL = {kind.model: kind for kind in _KINDS}
