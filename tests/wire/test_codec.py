"""What is sealed opens to what it was; what was tampered with does not."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, get_args

import pytest

from ctorrent.errors import BadSignature, LimitExceeded, Malformed
from ctorrent.model import session as s
from ctorrent.model.ids import OwnerId, node_id
from ctorrent.model.job import Environment
from ctorrent.model.result import Failure, FailureKind, Usage
from ctorrent.model.trade import NoReason
from ctorrent.seal import Sealed, digest
from ctorrent.wire import codec
from ctorrent.wire.names import ANNOUNCEMENT_BYTES_MAX, FRAME_BYTES_MAX
from ctorrent.wire.pb import job_pb2, session_pb2, trade_pb2
from tests.wire import samples
from tests.wire.samples import MESSAGES, OWNER, REQUESTER, ROOT, SIGNED, WORKER, d

DOMAINS = {
    "manifest": "ctorrent/job/1",
    "amendment": "ctorrent/amendment/1",
    "certificate": "ctorrent/certificate/1",
    "link": "ctorrent/membership/1",
    "announcement": "ctorrent/announcement/1",
    "bid": "ctorrent/bid/1",
    "assignment": "ctorrent/assignment/1",
    "result": "ctorrent/result/1",
    "entry": "ctorrent/entry/1",
}
SIGNERS = {"certificate": OWNER, "link": ROOT, "bid": WORKER, "result": WORKER}


@pytest.mark.parametrize("name", SIGNED)
def test_what_is_sealed_opens_to_what_it_was(name: str) -> None:
    model, make, open_ = SIGNED[name]
    assert open_(make()) == model


@pytest.mark.parametrize("name", SIGNED)
def test_a_changed_byte_is_a_bad_signature(name: str) -> None:
    _, make, open_ = SIGNED[name]
    good = make()
    for at in range(0, len(good.body), 7):
        body = bytearray(good.body)
        body[at] ^= 1
        with pytest.raises(BadSignature):
            open_(Sealed(bytes(body), good.public, good.signature))


@pytest.mark.parametrize("name", DOMAINS)
def test_a_seal_is_good_in_its_own_domain_only(name: str) -> None:
    _, make, open_ = SIGNED[name]
    body, signer = make().body, SIGNERS.get(name, REQUESTER)
    open_(signer.sign(DOMAINS[name], body))
    with pytest.raises(BadSignature):
        open_(signer.sign("ctorrent/other/1", body))


@pytest.mark.parametrize("name", sorted(set(DOMAINS) - {"assignment"}))
def test_only_the_key_that_the_body_names_may_sign(name: str) -> None:
    _, make, open_ = SIGNED[name]
    with pytest.raises(BadSignature):
        open_(samples.MEMBER.sign(DOMAINS[name], make().body))


def test_an_assignment_tells_who_signed_it() -> None:
    body = samples.sealed("assignment").body
    assert codec.open_assignment(samples.MEMBER.sign("ctorrent/assignment/1", body))[1] == node_id(samples.MEMBER.public)


def test_sealing_with_a_foreign_key_is_our_own_bug() -> None:
    with pytest.raises(ValueError, match="another author"):
        codec.seal_bid(samples.BID, REQUESTER)


def _resigned(name: str, body: bytes) -> Sealed:
    return SIGNERS.get(name, REQUESTER).sign(DOMAINS[name], body)


@pytest.mark.parametrize("name", DOMAINS)
def test_a_body_that_is_not_canonical_is_refused(name: str) -> None:
    _, make, open_ = SIGNED[name]
    body = make().body
    assert body[0] == 0x0A  # field 1, length-delimited, everywhere
    long_form = body[:1] + bytes((body[1] | 0x80, 0)) + body[2:]  # its length as a two-byte varint
    twice = body + body[: 2 + body[1]]  # field 1 again, at the end
    for other in (long_form, twice):
        with pytest.raises(Malformed, match="canonical"):
            open_(_resigned(name, other))


@pytest.mark.parametrize("name", DOMAINS)
def test_a_field_of_a_newer_version_is_kept_and_ignored(name: str) -> None:
    model, make, open_ = SIGNED[name]
    newer = make().body + b"\xba\x3e\x03new"  # field 999
    assert open_(_resigned(name, newer)) == model


def test_a_newer_field_inside_a_message_inside_is_kept_too() -> None:
    message = job_pb2.Manifest.FromString(samples.sealed("manifest").body)
    needs = message.needs.SerializeToString(deterministic=True) + b"\xba\x3e\x03new"
    message.needs.ParseFromString(needs)
    body = message.SerializeToString(deterministic=True)
    assert needs in body
    assert codec.open_manifest(REQUESTER.sign("ctorrent/job/1", body)).manifest == samples.MANIFEST


@pytest.mark.parametrize(("field", "value"), [("equal", 99), ("assurance", 0), ("replicas", 0), ("rtol", -1.0)])
def test_a_policy_that_this_version_cannot_keep_is_refused(field: str, value: float) -> None:
    message = job_pb2.Manifest.FromString(samples.sealed("manifest").body)
    setattr(message.verify, field, value)
    with pytest.raises((Malformed, LimitExceeded)):
        codec.open_manifest(REQUESTER.sign("ctorrent/job/1", message.SerializeToString(deterministic=True)))


def test_ids_are_digests_of_the_exact_bytes() -> None:
    manifest = samples.sealed("manifest")
    assert codec.open_manifest(manifest).id == codec.job_id(manifest) == digest("ctorrent/job/1", manifest.body)
    entry = samples.sealed("entry")
    assert codec.open_entry(entry).id == codec.entry_id(entry) == digest("ctorrent/entry/1", entry.body)
    assert codec.open_entry(entry).sealed is entry
    amendment, assignment, result = (samples.sealed(n) for n in ("amendment", "assignment", "result"))
    assert codec.amendment_id(amendment) == digest("ctorrent/amendment/1", amendment.body)
    assert codec.assignment_id(assignment) == digest("ctorrent/assignment/1", assignment.body)
    assert codec.result_id(result) == digest("ctorrent/result/1", result.body)


WRONG: list[tuple[str, type[Any], dict[str, Any]]] = [
    ("manifest", job_pb2.Manifest, {"nonce": b"short"}),
    ("manifest", job_pb2.Manifest, {"draw_hash": b""}),
    ("manifest", job_pb2.Manifest, {"price_max": float("nan")}),
    ("manifest", job_pb2.Manifest, {"price_max": float("inf")}),
    ("manifest", job_pb2.Manifest, {"price_max": -1.0}),
    ("manifest", job_pb2.Manifest, {"name": "x" * 201}),
    ("manifest", job_pb2.Manifest, {"valid_s": (1 << 64) - 1}),
    ("amendment", job_pb2.Amendment, {"count": 0}),
    ("amendment", job_pb2.Amendment, {"root": b"short"}),
    ("amendment", job_pb2.Amendment, {"blob": b"b" * 32}),
    ("amendment", job_pb2.Amendment, {"kind": 0}),
    ("amendment", job_pb2.Amendment, {"kind": 99}),
    ("amendment", job_pb2.Amendment, {"draw_secret": b"too early"}),
    ("announcement", trade_pb2.Announcement, {"ttl_s": float("nan")}),
    ("announcement", trade_pb2.Announcement, {"round": 0}),
    ("bid", trade_pb2.Bid, {"slots": 0}),
    ("bid", trade_pb2.Bid, {"isolation": 99}),
    ("bid", trade_pb2.Bid, {"speed_gflops": -0.5}),
    ("assignment", trade_pb2.Assignment, {"blocks": []}),
    ("assignment", trade_pb2.Assignment, {"blocks": [b"short"]}),
    ("assignment", trade_pb2.Assignment, {"blocks": [b"b" * 32] * 4097}),
    ("assignment", trade_pb2.Assignment, {"lease_s": float("inf")}),
]


@pytest.mark.parametrize(("name", "kind", "change"), WRONG)
def test_a_value_out_of_range_is_refused_although_it_is_signed(
    name: str, kind: type[Any], change: dict[str, Any]
) -> None:
    _, make, open_ = SIGNED[name]
    message = kind.FromString(make().body)
    for field, value in change.items():
        message.ClearField(field)
        if isinstance(value, list):
            getattr(message, field).extend(value)
        else:
            setattr(message, field, value)
    body = message.SerializeToString(deterministic=True)
    with pytest.raises((Malformed, LimitExceeded)):
        open_(_resigned(name, body))


def test_a_body_above_its_limit_is_refused_before_it_is_verified() -> None:
    unsigned = Sealed(b"\0" * (codec.BOUNDS.manifest_bytes + 1), b"k" * 32, b"s" * 64)
    with pytest.raises(LimitExceeded):
        codec.open_manifest(unsigned)


def test_an_announcement_fits_two_kibibytes_with_its_seal() -> None:
    room = codec.BOUNDS.announcement_bytes - len(samples.sealed("announcement").body)
    record = samples.ANNOUNCEMENT.peer_record
    full = dataclasses.replace(samples.ANNOUNCEMENT, peer_record=record + b"x" * (room - 2))
    sealed = codec.seal_announcement(full, REQUESTER)
    assert ANNOUNCEMENT_BYTES_MAX - 16 < len(codec.encode_sealed(sealed)) <= ANNOUNCEMENT_BYTES_MAX
    with pytest.raises(ValueError, match="at most"):
        codec.seal_announcement(dataclasses.replace(full, peer_record=full.peer_record + b"xx"), REQUESTER)


def test_environment_bytes_are_one_per_need() -> None:
    assert codec.environment_bytes(Environment()) == b""
    assert codec.environment_bytes(Environment(packages=("a", "b"))) == b"\x1a\x01a\x1a\x01b"
    with pytest.raises(ValueError, match="sorted"):
        codec.environment_bytes(Environment(packages=("b", "a")))
    with pytest.raises(ValueError, match="sorted"):
        codec.environment_bytes(Environment(programs=("a", "a")))


# Messages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_arrive_as_they_left(name: str) -> None:
    assert codec.decode_message(codec.encode_message(MESSAGES[name])) == MESSAGES[name]


def test_every_message_has_a_sample_and_a_kind() -> None:
    assert {type(m) for m in MESSAGES.values()} | {s.Unknown} == set(get_args(s.Message))


def test_an_unknown_kind_is_unknown_not_wrong() -> None:
    assert codec.decode_message(b"\xf0anything") == s.Unknown(0xF0)
    with pytest.raises(ValueError, match="Unknown"):
        codec.encode_message(s.Unknown(0xF0))


def test_an_empty_frame_and_an_oversize_one() -> None:
    with pytest.raises(Malformed):
        codec.decode_message(b"")
    with pytest.raises(LimitExceeded):
        codec.decode_message(b"\x01" * (FRAME_BYTES_MAX + 1))
    with pytest.raises(ValueError, match="frame"):
        codec.encode_message(s.Progress(d("i"), 0, b"x" * FRAME_BYTES_MAX))


def test_a_new_reason_is_still_a_no() -> None:
    data = codec.encode_message(MESSAGES["declined"])
    message = session_pb2.Declined.FromString(data[1:])
    message.no.reason = 99  # type: ignore[assignment]
    got = codec.decode_message(data[:1] + message.SerializeToString())
    assert isinstance(got, s.Declined)
    assert got.no.reason is NoReason.OTHER


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "..\\b", "a\0b", "x" * 256])
def test_an_input_never_names_a_path(name: str) -> None:
    data = codec.encode_message(MESSAGES["assign"])
    message = session_pb2.Assign.FromString(data[1:])
    message.blocks[1].inputs[0].name = name
    with pytest.raises((Malformed, LimitExceeded)):
        codec.decode_message(data[:1] + message.SerializeToString())


def test_an_output_is_here_or_in_a_blob_and_as_long_as_it_says() -> None:
    data = codec.encode_message(MESSAGES["returned"])

    def change(edit: Any) -> bytes:
        message = session_pb2.Returned.FromString(data[1:])
        edit(message.outputs[0])
        return data[:1] + message.SerializeToString()

    def both(o: Any) -> None:
        o.blob = b"b" * 32

    def neither(o: Any) -> None:
        o.ClearField("data")

    def longer(o: Any) -> None:
        o.size_bytes += 1

    def endless(o: Any) -> None:
        o.usage.wall_s = float("inf")

    for edit in (both, neither, longer, endless):
        with pytest.raises(Malformed):
            codec.decode_message(change(edit))


def test_too_many_of_anything_is_refused() -> None:
    many = session_pb2.Assign()
    many.assignment.public, many.assignment.signature = b"k" * 32, b"s" * 64
    many.blocks.extend([session_pb2.Block()] * 4097)
    with pytest.raises(LimitExceeded):
        codec.decode_message(b"\x08" + many.SerializeToString())


@pytest.mark.parametrize("start", [b"\x08\x12\x00", b"\x09\x12\x00", b"\x03\x22\x00", b"\x01\x12\x00", b"\x21\x0a\x00"])
def test_half_a_million_empty_things_end_quickly(start: bytes) -> None:
    """A frame is the most that is ever parsed at once; what is made of it here is dropped before the next one."""
    started = time.process_time()
    with pytest.raises(LimitExceeded):
        codec.decode_message(start[:1] + start[1:] * (FRAME_BYTES_MAX // 2 - 1))
    assert time.process_time() - started < 2


def test_text_for_people_is_cut_not_refused() -> None:
    long = Failure(FailureKind.EXCEPTION, "E" * 1000, "x" * 200_000 + "\ud800")
    output = s.Output(b"o" * 16, b"", None, 0, Usage(), long)
    got = codec.decode_message(codec.encode_message(s.Returned(samples.sealed("result"), (output,))))
    assert isinstance(got, s.Returned)
    failure = got.outputs[0].failure
    assert failure is not None
    assert (len(failure.type), len(failure.text)) == (256, 64 << 10)
    odd = Failure(FailureKind.EXCEPTION, "E", "caf\ud800")
    got = codec.decode_message(
        codec.encode_message(s.Returned(samples.sealed("result"), (dataclasses.replace(output, failure=odd),)))
    )
    assert isinstance(got, s.Returned)
    assert got.outputs[0].failure == Failure(FailureKind.EXCEPTION, "E", "caf?")


# Ledger bodies and batches -------------------------------------------------------------------------------------------


def test_ledger_bodies_and_batches_come_back() -> None:
    assert codec.decode_tally(codec.encode_tally(samples.TALLY)) == samples.TALLY
    bare = dataclasses.replace(samples.TALLY, worker_owner=OwnerId(""))
    assert codec.decode_tally(codec.encode_tally(bare)) == bare
    assert codec.decode_incarnation(codec.encode_incarnation(samples.HEAD)) == samples.HEAD
    assert codec.decode_incarnation(codec.encode_incarnation(None)) is None
    batch = [samples.sealed("entry"), samples.sealed("entry-future")]
    assert codec.decode_entries(codec.encode_entries(batch)) == batch
    assert codec.decode_sealed(codec.encode_sealed(batch[0])) == batch[0]


def test_a_batch_has_a_limit() -> None:
    with pytest.raises(LimitExceeded):
        codec.decode_entries(codec.encode_entries([Sealed(b"", b"k" * 32, b"s" * 64)] * 1025))
