"""Who may speak on the control channel: processes of this user, by the kernel's word or by a secret only they can read."""

from __future__ import annotations

import os
import secrets
import socket
import struct

import trio

from ctorrent.door import NONCE_BYTES, proof

PROVE_S = 5.0  # for a program of ours to answer; it needs a millisecond
UNPROVEN_MAX = 16  # connections that may be waited for at once; one more ends the oldest, so that idle ones lock nobody out


class Guard:
    """secret: b"" on a unix socket; on a loopback port, what stands in the file beside the port's number."""

    def __init__(self, secret: bytes = b"") -> None:
        self._secret = secret
        self._unproven: list[trio.CancelScope] = []  # oldest first

    async def admits(self, stream: trio.SocketStream) -> bool:
        """May this connection be listened to? False also when it ended meanwhile."""
        if not self._secret:
            return _is_ours(stream.socket)
        with trio.move_on_after(PROVE_S) as patience:
            if len(self._unproven) >= UNPROVEN_MAX:
                self._unproven.pop(0).cancel()
            self._unproven.append(patience)
            try:
                return await self._proves(stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            finally:
                if patience in self._unproven:
                    self._unproven.remove(patience)
        return False

    async def _proves(self, stream: trio.SocketStream) -> bool:
        """The exchange of door.proof. The secret itself never travels, so whoever takes a dead node's port learns nothing."""
        theirs, mine = await _take(stream), secrets.token_bytes(NONCE_BYTES)
        await stream.send_all(mine + proof(self._secret, b"node", theirs, mine))
        return secrets.compare_digest(await _take(stream), proof(self._secret, b"client", theirs, mine))


async def _take(stream: trio.SocketStream) -> bytes:
    """NONCE_BYTES bytes, or fewer when the other side ends: those prove nothing."""
    data = b""
    while len(data) < NONCE_BYTES and (more := await stream.receive_some(NONCE_BYTES - len(data))):
        data += more
    return data


def _is_ours(connection: trio.socket.SocketType) -> bool:
    """Does the other end run as our user? Systems that cannot say leave it to the folder's permissions."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", raw)
    return bool(uid == os.geteuid())
