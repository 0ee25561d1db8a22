"""Noise messages over a socket, many per system call.

Stock libp2p 0.8.1 makes two reads per Noise message (io/msgio.py) and one write each (security/noise/io.py:67); and it
advances the nonce before it writes, so that a cancelled write leaves both ends out of step (io.py:64). Here one task
reads, one task writes, nobody cancels either while the connection is to live, and both move up to 256 KiB at a time.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import trio
from cryptography.exceptions import InvalidTag
from libp2p.exceptions import BaseLibp2pError
from libp2p.security.secure_session import SecureSession
from noise.exceptions import NoiseInvalidMessage  # type: ignore[import-untyped]

PLAIN_BYTES_MAX = 65_519  # 65,535 less the 16 bytes of Poly1305
_CALL_BYTES = 256 << 10  # per system call: beyond it a loopback transfer gained nothing
# what libp2p's socket wrappers let through and what they make of it
_SOCKET_ERRORS = (BaseLibp2pError, OSError, trio.BrokenResourceError, trio.ClosedResourceError)
_LENGTH = struct.Struct(">H")


class LostConnection(Exception):
    """The socket ended or broke, or a message did not authenticate."""


class NoisePipe:
    """Takes a negotiated session over; the session must not be used beside it."""

    def __init__(self, session: SecureSession) -> None:
        noise: Any = session.conn
        self._first: bytes = session._drain(None)  # the peer may have sent the first frames with its last answer
        self._encrypt = noise.encrypt
        self._decrypt = noise.decrypt
        self._raw: Any = noise.read_writer.read_write_closer
        self._buffer = bytearray()
        self.received = self.sent = 0  # bytes on the wire

    async def receive(self) -> list[bytes]:
        """Plaintexts in order, at least one. Raises LostConnection at the end, whatever the cause."""
        if self._first:
            first, self._first = self._first, b""
            return [first]
        while True:
            messages = self._messages()
            if messages:
                return messages
            self._buffer += await self._read()

    async def _read(self) -> bytes:
        try:
            data: bytes = await self._raw.read(_CALL_BYTES)
        except _SOCKET_ERRORS as error:
            raise LostConnection(repr(error)) from error
        if not data:
            raise LostConnection("the peer closed the connection")
        self.received += len(data)
        return data

    def _messages(self) -> list[bytes]:
        out, at, buffer = [], 0, self._buffer
        while len(buffer) - at >= _LENGTH.size:
            end = at + _LENGTH.size + _LENGTH.unpack_from(buffer, at)[0]
            if len(buffer) < end:
                break
            try:
                out.append(self._decrypt(bytes(buffer[at + _LENGTH.size : end])))
            except (NoiseInvalidMessage, InvalidTag, ValueError) as error:
                raise LostConnection("a message that does not authenticate") from error
            at = end
        del buffer[:at]
        return out

    async def send(self, plaintexts: list[bytes]) -> None:
        """Encrypt and write; each at most PLAIN_BYTES_MAX. Raises LostConnection."""
        parts: list[bytes] = []
        for plain in plaintexts:
            sealed = self._encrypt(plain)
            parts += (_LENGTH.pack(len(sealed)), sealed)
        data = b"".join(parts)
        self.sent += len(data)
        try:
            await self._raw.write(data)
        except _SOCKET_ERRORS as error:
            raise LostConnection(repr(error)) from error

    async def aclose(self) -> None:
        with trio.CancelScope(shield=True), trio.move_on_after(1), contextlib.suppress(*_SOCKET_ERRORS):
            await self._raw.close()
