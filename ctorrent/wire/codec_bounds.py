"""The checks that every decoder shares: sizes, lengths, ranges, canonical form.

Protobuf refuses bytes that do not parse; what is here refuses what parses but must not be believed: numbers that are
not finite, keys of the wrong length, lists without end, and bodies that two programs would write differently.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TypeVar

from google.protobuf.message import DecodeError, EncodeError, Message

from ctorrent.errors import BadSignature, LimitExceeded, Malformed
from ctorrent.model import ids
from ctorrent.model.ids import Digest, NodeId, OwnerId, Ring, RingKind
from ctorrent.model.result import NONCE_BYTES
from ctorrent.seal import DIGEST_BYTES, KEY_BYTES, SIGNATURE_BYTES, Sealed, Signer, verify
from ctorrent.wire.names import ANNOUNCEMENT_BYTES_MAX, FRAME_BYTES_MAX
from ctorrent.wire.pb import seal_pb2

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a decoder accepts at most. Larger is LimitExceeded, charged to the sender."""

    frame_bytes: int = FRAME_BYTES_MAX
    manifest_bytes: int = 64 << 10  # a Describe must fit a frame beside its amendments
    amendment_bytes: int = 8 << 10  # a hundred of them fit a frame
    vouch_bytes: int = 1 << 10  # certificate or link: five 32-byte fields and a label
    announcement_bytes: int = ANNOUNCEMENT_BYTES_MAX - 112  # the seal travels in the same 2 KiB
    bid_bytes: int = 2 << 10
    assignment_bytes: int = 192 << 10  # 4096 digests of 34 bytes and a head
    result_bytes: int = 384 << 10  # 4096 lines of 70 bytes and a head
    entry_bytes: int = 16 << 10  # four fit a gossip message; evidence stays out of entries
    work_bytes: int = 512  # of a receipt: five keys and five numbers
    sums: int = 128  # of one checkpoint entry: 16 KiB at 90 bytes each, with room for its head
    blocks: int = 4096  # a unit is coalesced towards 50 ms: 4096 blocks of 12 us
    inputs: int = 1024  # of a block; `files:` gives one each, joins a few
    amendments: int = 1024  # of a job, in one Describe
    chains: int = 16  # swarms a node shows
    links: int = 16  # steps from a swarm's root: more would be nobody's acquaintance
    reasons: int = 32  # there are 17 kinds of no
    addresses: int = 16  # an invite stays one line
    keepers: int = 16
    words: int = 256  # of a command, or packages of an environment
    entries: int = 1024  # of one sync answer
    word_chars: int = 4096  # one argument of a command
    label_chars: int = 200  # names, versions, requirement strings, hardware classes
    file_name_bytes: int = 255  # what a file system takes
    detail_chars: int = 1000  # text for people in a refusal
    failure_chars: int = 64 << 10  # a traceback
    type_chars: int = 256  # an exception's class
    cores: int = 1 << 12
    replicas: int = 64  # a quorum of more is a broadcast
    small: int = 1 << 31  # counts of blocks, units, rounds: what an int32 of any other program holds
    large: int = 1 << 53  # bytes, indexes: what JSON's numbers hold exactly
    time_s: int = 1 << 40  # 35,000 years: no arithmetic on it overflows
    figure: float = 1e15  # speeds, prices, durations, tolerances


BOUNDS = Bounds()


def parse(kind: type[M], data: bytes, limit: int) -> M:
    """`data` as a message. Raises LimitExceeded above `limit` bytes, Malformed when it does not parse."""
    if len(data) > limit:
        raise LimitExceeded(f"{kind.__name__} of {len(data)} bytes: at most {limit}")
    try:
        return kind.FromString(data)
    except DecodeError:
        raise Malformed(f"{len(data)} bytes are no {kind.__name__}") from None


def parse_canonical(kind: type[M], data: bytes, limit: int) -> M:
    """`parse`, and refuse bytes that differ from what a writer would have made. Unknown fields are kept."""
    message = parse(kind, data, limit)
    try:
        same = canonical(message) == data
    except EncodeError:
        same = False
    if not same:
        raise Malformed(f"{kind.__name__}: not the canonical bytes of what it says")
    return message


def canonical(message: Message) -> bytes:
    """Fields ascending, defaults left out, varints shortest: there are no maps in our messages, so it is unique."""
    return message.SerializeToString(deterministic=True)


# Seals ---------------------------------------------------------------------------------------------------------------


def seal(domain: str, message: Message, signer: Signer, named: bytes, limit: int) -> Sealed:
    """Sign the canonical bytes of `message`, which names `named` as its author. ValueError: our own bug."""
    if signer.public != named:
        raise ValueError(f"{domain}: the body names another author than the key that signs")
    body = canonical(message)
    if len(body) > limit:
        raise ValueError(f"{domain}: {len(body)} bytes, at most {limit}")
    return signer.sign(domain, body)


def unseal(domain: str, sealed: Sealed, kind: type[M], limit: int) -> M:
    """The message inside, its size, signature and form checked, in that order."""
    if len(sealed.body) > limit:
        raise LimitExceeded(f"{kind.__name__} of {len(sealed.body)} bytes: at most {limit}")
    verify(domain, sealed)
    return parse_canonical(kind, sealed.body, limit)


def signed_by(sealed: Sealed, author: bytes, what: str) -> None:
    """Raise BadSignature unless the seal is of the key that the body names."""
    if sealed.public != author:
        raise BadSignature(f"{what}: signed by another key than the one it names")


def sealed_to_wire(sealed: Sealed) -> seal_pb2.Sealed:
    return seal_pb2.Sealed(body=sealed.body, public=sealed.public, signature=sealed.signature)


def sealed_from_wire(message: seal_pb2.Sealed) -> Sealed:
    if len(message.public) != KEY_BYTES or len(message.signature) != SIGNATURE_BYTES:
        raise Malformed(f"a seal has a key of {KEY_BYTES} bytes and a signature of {SIGNATURE_BYTES}")
    return Sealed(message.body, message.public, message.signature)


def encode_sealed(sealed: Sealed) -> bytes:
    """A seal as bytes, for gossip and the journal."""
    return canonical(sealed_to_wire(sealed))


def decode_sealed(data: bytes, limit: int = FRAME_BYTES_MAX) -> Sealed:
    """The inverse; nothing is verified yet. Raises Malformed, LimitExceeded."""
    return sealed_from_wire(parse(seal_pb2.Sealed, data, limit))


# Keys and names ------------------------------------------------------------------------------------------------------

_node_id = lru_cache(4096)(ids.node_id)  # base58 in Python costs 20 us; as many as peers one node knows
_node_public = lru_cache(4096)(ids.node_public)
_owner_id = lru_cache(4096)(ids.owner_id)
_owner_public = lru_cache(4096)(ids.owner_public)


def node_from_wire(public: bytes) -> NodeId:
    return _node_id(public)


def node_to_wire(node: NodeId) -> bytes:
    return _node_public(node)


def owner_from_wire(public: bytes) -> OwnerId:
    return _owner_id(public)


def owner_to_wire(owner: OwnerId) -> bytes:
    return _owner_public(owner)


def ring_to_wire(ring: Ring) -> seal_pb2.Ring:
    kind = seal_pb2.RingKind.Value(f"RING_KIND_{ring.kind.name}")
    return seal_pb2.Ring(kind=kind, root=owner_to_wire(ring.root) if ring.root else b"")


def ring_from_wire(message: seal_pb2.Ring) -> Ring:
    kind = enum_of(RingKind, message.kind, "ring")
    return Ring(kind, owner_from_wire(message.root) if message.root else None)


# Values --------------------------------------------------------------------------------------------------------------


def digest_of(raw: bytes, what: str) -> Digest:
    if len(raw) != DIGEST_BYTES:
        raise Malformed(f"{what} is {len(raw)} bytes, not {DIGEST_BYTES}")
    return Digest(raw)


def nonce_of(raw: bytes, what: str) -> bytes:
    if len(raw) != NONCE_BYTES:
        raise Malformed(f"{what} is {len(raw)} bytes, not {NONCE_BYTES}")
    return raw


def whole(value: int, what: str, low: int = 0, high: int = BOUNDS.small) -> int:
    """A number within [low, high]."""
    if not low <= value <= high:
        raise LimitExceeded(f"{what} is {value}, not within {low} to {high}")
    return value


def figure(value: float, what: str, low: float = 0.0) -> float:
    """A finite float within [low, BOUNDS.figure]; refuses NaN and infinities."""
    if not math.isfinite(value):
        raise Malformed(f"{what} is not finite")
    if not low <= value <= BOUNDS.figure:
        raise LimitExceeded(f"{what} is {value:g}, not within {low:g} to {BOUNDS.figure:g}")
    return value


def text(value: str, what: str, limit: int = BOUNDS.label_chars) -> str:
    if len(value) > limit:
        raise LimitExceeded(f"{what} has {len(value)} characters: at most {limit}")
    return value


def short(raw: bytes, what: str, limit: int) -> bytes:
    if len(raw) > limit:
        raise LimitExceeded(f"{what} is {len(raw)} bytes: at most {limit}")
    return raw


def few(count: int, what: str, limit: int) -> None:
    """Raise LimitExceeded for a list that is too long, before anything is made of it."""
    if count > limit:
        raise LimitExceeded(f"{count} {what}: at most {limit}")


def enum_of(kind: type[E], number: int, what: str) -> E:
    """The member; an unknown number cannot be obeyed and so is Malformed."""
    try:
        return kind(number)
    except ValueError:
        raise Malformed(f"{what}: {number} is not known to this version") from None


def for_people(value: str, limit: int) -> str:
    """Our own text, cut and made encodable, so that a long traceback never makes a frame that peers refuse."""
    if len(value) > limit:
        value = value[: limit - 1] + "…"
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
