"""Whole frames over a byte stream, with Hello and byte credit. Sans-io: bytes in, frames out, no clock.

    frame  = u32be length ‖ u8 type ‖ body            length counts the body only, at most FRAME_BYTES_MAX
    HELLO    fields (u8 tag ‖ u16be length ‖ value)…  first frame of both sides, exactly once; unknown tags are skipped
    DATA     one frame of the layer above             costs its body + FRAME_COST bytes of the receiver's credit
    CREDIT   u32be bytes                              the receiver consumed that much; more may be sent
    others   of a later minor version                 cost what DATA costs, and are dropped

     start ──hello()──▶ greeted-out ──receive(HELLO)──▶ open ──receive(DATA, CREDIT)──▶ open
       anything else first, a second HELLO, more than the credit, oversize, garbage: PeerError, and the codec is dead

A receiver's memory is bounded by its credit and one partial frame: a frame is refused at its header, not after it arrived.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from ctorrent.errors import LimitExceeded, Malformed, PeerError, Unsupported
from ctorrent.wire.names import CREDIT_BYTES, FRAME_BYTES_MAX, VERSION_MINOR

HELLO, DATA, CREDIT = 0, 1, 2
HEADER = struct.Struct(">IB")
FRAME_COST = 64  # bytes of credit a frame costs beside its body: what an empty one occupies in a queue
HELLO_BYTES_MAX = 4 << 10  # a hundred features of forty characters; read before anything is known about the peer
CREDIT_BYTES_MAX = 1 << 30  # more than any receiver could mean; keeps the sum from growing without end
_FEATURES_MAX = 64
_FIELD = struct.Struct(">BH")
_U32 = struct.Struct(">I")
_MINOR, _FRAME_MAX, _CREDIT, _OFFERS, _REQUIRES = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Hello:
    """What each side says first. `requires`: features that this side cannot do without."""

    minor: int = VERSION_MINOR
    features: tuple[str, ...] = ()
    max_frame_bytes: int = FRAME_BYTES_MAX
    credit_bytes: int = CREDIT_BYTES
    requires: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.max_frame_bytes <= CREDIT_BYTES_MAX:
            raise Malformed(f"a Hello with frames of at most {self.max_frame_bytes} bytes")
        if not self.max_frame_bytes + FRAME_COST <= self.credit_bytes <= CREDIT_BYTES_MAX:
            raise Malformed(f"a Hello with {self.credit_bytes} bytes of credit: one whole frame must fit")
        if len(self.features) + len(self.requires) > _FEATURES_MAX:
            raise LimitExceeded(f"a Hello with more than {_FEATURES_MAX} features")


def encode_hello(hello: Hello) -> bytes:
    """The body of a HELLO frame."""
    numbers = ((_MINOR, hello.minor), (_FRAME_MAX, hello.max_frame_bytes), (_CREDIT, hello.credit_bytes))
    fields = [(tag, _U32.pack(number)) for tag, number in numbers]
    fields += [(_OFFERS, name.encode()) for name in hello.features]
    fields += [(_REQUIRES, name.encode()) for name in hello.requires]
    return b"".join(_FIELD.pack(tag, len(value)) + value for tag, value in fields)


def decode_hello(body: bytes) -> Hello:
    """Raises Malformed; tags that this version does not know are skipped."""
    numbers: dict[int, int] = {}
    names: dict[int, list[str]] = {_OFFERS: [], _REQUIRES: []}
    for tag, value in _fields(body):
        if tag in (_MINOR, _FRAME_MAX, _CREDIT):
            if len(value) != _U32.size or tag in numbers:
                raise Malformed("a Hello with a damaged number")
            numbers[tag] = _U32.unpack(value)[0]
        elif tag in names:
            names[tag].append(_name(value))
    if len(numbers) != 3:
        raise Malformed("a Hello without its version, frame size or credit")
    return Hello(numbers[_MINOR], tuple(names[_OFFERS]), numbers[_FRAME_MAX], numbers[_CREDIT], tuple(names[_REQUIRES]))


def _fields(body: bytes) -> list[tuple[int, bytes]]:
    fields, at = [], 0
    while at < len(body):
        if at + _FIELD.size > len(body):
            raise Malformed("a Hello that ends inside a field")
        tag, size = _FIELD.unpack_from(body, at)
        at += _FIELD.size
        if at + size > len(body):
            raise Malformed("a Hello that ends inside a field")
        fields.append((tag, body[at : at + size]))
        at += size
    return fields


def _name(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed("a Hello with a feature that is not ASCII") from None


class FrameCodec:
    """One side of one channel. `peer` is the other side's Hello once it arrived."""

    __slots__ = ("_buffer", "_dead", "_granted", "_mine", "_owed", "_want", "credit", "peer")

    def __init__(self, mine: Hello) -> None:
        self._mine = mine
        self._buffer = bytearray()
        self._want = 0  # bytes in the buffer below which no frame can be complete
        self._granted = mine.credit_bytes  # bytes the peer may still send
        self._owed = 0  # consumed and not yet granted again
        self._dead: PeerError | None = None
        self.credit = 0  # bytes this side may still send
        self.peer: Hello | None = None

    def hello(self) -> bytes:
        """The first bytes to send."""
        body = encode_hello(self._mine)
        return HEADER.pack(len(body), HELLO) + body

    # sending ---------------------------------------------------------------------------------------------------------

    def may_send(self, size_bytes: int) -> bool:
        """Is there credit for a DATA frame of this size now? Raises Unsupported if the peer never takes such a frame."""
        if self.peer is not None and size_bytes > self.peer.max_frame_bytes:
            raise Unsupported(f"the peer takes frames of at most {self.peer.max_frame_bytes} bytes, not {size_bytes}")
        return self.credit >= size_bytes + FRAME_COST

    def header(self, size_bytes: int) -> bytes:
        """Spend credit and return the header that goes before a DATA body of this size."""
        assert size_bytes <= FRAME_BYTES_MAX and self.credit >= size_bytes + FRAME_COST
        self.credit -= size_bytes + FRAME_COST
        return HEADER.pack(size_bytes, DATA)

    def consumed(self, size_bytes: int) -> bytes:
        """The application took a frame of this size. -> a CREDIT frame to send, or b"" until it is worth one."""
        self._owed += size_bytes + FRAME_COST
        if self._owed < self._mine.credit_bytes // 2:  # half a window: the sender never runs dry, few frames are spent
            return b""
        grant, self._owed = self._owed, 0
        self._granted += grant
        return HEADER.pack(_U32.size, CREDIT) + _U32.pack(grant)

    # receiving -------------------------------------------------------------------------------------------------------

    @property
    def between_frames(self) -> bool:
        """May the stream end here without loss?"""
        return not self._buffer

    def receive(self, data: bytes) -> list[bytes]:
        """Feed bytes as they came. -> whole DATA bodies, in order. Raises PeerError, now and ever after."""
        if self._dead is not None:
            raise self._dead
        self._buffer += data
        if len(self._buffer) < self._want:
            return []
        try:
            return self._frames()
        except PeerError as error:
            self._dead = error
            self._buffer.clear()
            raise

    def _frames(self) -> list[bytes]:
        out: list[bytes] = []
        buffer, at, have = self._buffer, 0, len(self._buffer)
        self._want = HEADER.size
        while have - at >= HEADER.size:
            size, kind = HEADER.unpack_from(buffer, at)
            self._check_header(size, kind)
            end = at + HEADER.size + size
            if have < end:
                self._want = end - at
                break
            with memoryview(buffer) as view:
                body = bytes(view[at + HEADER.size : end])
            at = end
            self._take(kind, body, out)
        del buffer[:at]
        return out

    def _check_header(self, size: int, kind: int) -> None:
        if self.peer is None:
            if kind != HELLO:
                raise Malformed(f"a frame of kind {kind} before Hello")
            limit = HELLO_BYTES_MAX
        elif kind == HELLO:
            raise Malformed("a second Hello")
        elif kind == CREDIT:
            limit = _U32.size
        else:
            limit = self._mine.max_frame_bytes
        if size > limit:
            raise LimitExceeded(f"a frame of {size} bytes, where {limit} is the limit")
        if kind not in (HELLO, CREDIT) and size + FRAME_COST > self._granted:
            raise LimitExceeded(f"a frame of {size} bytes beyond the credit of {self._granted}")

    def _take(self, kind: int, body: bytes, out: list[bytes]) -> None:
        if kind == HELLO:
            self._greet(decode_hello(body))
        elif kind == CREDIT:
            self._more_credit(body)
        else:
            self._granted -= len(body) + FRAME_COST
            if kind == DATA:
                out.append(body)
            else:
                self._owed += len(body) + FRAME_COST  # dropped, so it occupies nothing; granted again with the next

    def _greet(self, peer: Hello) -> None:
        missing = [name for name in self._mine.requires if name not in peer.features]
        lacking = [name for name in peer.requires if name not in self._mine.features]
        if missing or lacking:
            raise Unsupported(
                f"the peer (minor version {peer.minor}) lacks {missing or 'nothing'} and this node "
                f"(minor version {self._mine.minor}) lacks {lacking or 'nothing'}",
                "Update the older of the two.",
            )
        self.peer = peer
        self.credit = peer.credit_bytes

    def _more_credit(self, body: bytes) -> None:
        if len(body) != _U32.size:
            raise Malformed("a credit frame of the wrong size")
        grant = _U32.unpack(body)[0]
        self.credit += grant
        if grant == 0 or self.credit > CREDIT_BYTES_MAX:
            raise Malformed(f"a grant of {grant} bytes of credit")
