"""The client's end of a node's control channel: find where the node listens, ask, hear. Standard library only.

A unix socket in the data folder; on systems without such sockets, a port of this machine's loopback whose secret only
this user can read (door.proof). Frames: see node/control.py.
"""

from __future__ import annotations

import os
import pathlib
import secrets
import socket
import stat
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ctorrent import canon, errors
from ctorrent.door import FRAME_BYTES_MAX, LOOPBACK, NONCE_BYTES, POINTER, SOCKET, Plain, proof
from ctorrent.errors import CTorrentError, LocalError, Unavailable, Unsupported

ANSWER_BYTES_MAX = 256 << 20  # of one answer in parts: a page of results ends long before, a single row may be large
CONNECT_S = 5.0  # a node accepts in milliseconds; one that is stopped (SIGSTOP) never does


class Wire:
    """One connection with one request at a time. Frames: see node/control.py."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._id = 0
        self.broken = False

    def close(self) -> None:
        self.broken = True
        self._socket.close()

    def hang_up(self) -> None:
        """End it for whoever waits for an answer in another thread, which then closes it."""
        self.broken = True
        with suppress(OSError):  # the node did so before
            self._socket.shutdown(socket.SHUT_RDWR)

    def ask(self, method: str, args: tuple[Any, ...]) -> None:
        self._id += 1
        body = canon.encode({"id": self._id, "method": method, "args": list(args), "kwargs": {}})
        if len(body) > FRAME_BYTES_MAX:
            raise LocalError(f"This is {len(body)} bytes long: at most {FRAME_BYTES_MAX} fit into one request.")
        try:
            self._socket.sendall(len(body).to_bytes(4, "big") + body)
        except OSError as error:
            raise self._lost(error) from None

    def receive(self) -> Plain:
        """The next item or the result; raises the node's error as what it is."""
        answer = self._next()
        if "part" in answer:
            answer = self._joined(answer)
        if "error" in answer:
            raise rebuilt(answer["error"])
        return answer

    def _joined(self, answer: Plain) -> Plain:
        whole = bytearray()
        while "part" in answer:
            whole += answer["part"]
            if len(whole) > ANSWER_BYTES_MAX:
                self.close()
                raise LocalError(f"The node's answer is longer than {ANSWER_BYTES_MAX >> 20} MiB.", "Ask for fewer rows.")
            answer = self._next()
        return dict(canon.decode(bytes(whole)))

    def _next(self) -> Plain:
        size = int.from_bytes(self._exactly(4), "big")
        if size > FRAME_BYTES_MAX:
            self.close()
            raise Unsupported("The node's control channel speaks another format.", "Use one version for both.")
        return dict(canon.decode(self._exactly(size)))

    def _exactly(self, size: int) -> bytes:
        data = bytearray(size)
        view, have = memoryview(data), 0
        while have < size:
            try:
                more = self._socket.recv_into(view[have:])
            except OSError as error:
                raise self._lost(error) from None
            if not more:
                raise self._lost(None)
            have += more
        return bytes(data)

    def _lost(self, error: OSError | None) -> CTorrentError:
        self.close()
        cause = f" ({error.strerror})" if error is not None and error.strerror else ""
        return Unavailable(f"The node ended{cause}.", "Start it again (ctorrent node); its jobs go on where they were.")


class Wires:
    """Connections to one node, for questions of several threads: each is one thread's from its question to the answer."""

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._idle: list[Wire] = []
        self._lock = threading.Lock()
        self._closed = False

    def take(self) -> Wire:
        """One of its own for the caller. Raises Unavailable."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Wire(dial(self._folder))

    def give(self, wire: Wire) -> None:
        """Its answer is there: it is the next one's. After close(), which somebody may not have waited for, nobody's."""
        with self._lock:
            if self._closed:
                wire.close()
            elif not wire.broken:
                self._idle.append(wire)

    def ask(self, method: str, args: tuple[Any, ...]) -> Any:
        """The answer to one question; raises the node's error as what it is."""
        wire = self.take()
        try:
            wire.ask(method, args)
            answer = wire.receive()
        except CTorrentError:
            self.give(wire)
            raise
        except BaseException:  # such as Ctrl-C: the answer is still to come, so this connection is of no more use
            wire.close()
            raise
        self.give(wire)
        return answer.get("result")

    def close(self) -> None:
        """Those that nobody uses; the others as they are given back."""
        with self._lock:
            self._closed = True
            wires, self._idle = self._idle, []
        for wire in wires:
            wire.close()


class Items:
    """The answer to a question that is answered item by item; asked with the first. close() ends it from any thread."""

    def __init__(self, take: Callable[[], Wire], method: str, args: tuple[Any, ...]) -> None:
        self._take, self._method, self._args = take, method, args
        self._wire: Wire | None = None
        self._over = False
        self._reading = threading.Lock()  # held by the thread that waits for the next item

    def __iter__(self) -> Items:
        return self

    def __next__(self) -> Plain:
        try:
            with self._reading:
                answer = {} if self._over else self._receive()
        except BaseException as error:
            ended = self._over
            self.close()
            if ended and isinstance(error, Unavailable):  # by close(), in another thread
                raise StopIteration from None
            raise
        if self._over or "item" not in answer:
            self.close()
            raise StopIteration
        item: Plain = answer["item"]
        return item

    def _receive(self) -> Plain:
        if self._wire is None:
            self._wire = self._take()
            if self._over:  # meanwhile
                return {}
            self._wire.ask(self._method, self._args)
        return self._wire.receive()

    def close(self) -> None:
        """End the request, and a wait for its next item. Twice is once."""
        self._over = True
        if self._reading.acquire(blocking=False):
            if self._wire is not None:
                self._wire.close()
            self._reading.release()
        elif self._wire is not None:  # the thread that waits closes it, once it is awake
            self._wire.hang_up()

    __del__ = close  # who leaves a loop early forgets it


def dial(folder: pathlib.Path) -> socket.socket:
    """A connection to the node of this folder. Raises Unavailable."""
    connection = _at_port(folder / LOOPBACK) if (folder / LOOPBACK).exists() else _at_socket(folder)
    if connection is None:  # not there, refused, too long a path, not our node: nobody of ours listens
        raise Unavailable(f"No node runs with the data folder {folder}.", "Start one: ctorrent node")
    connection.settimeout(None)
    return connection


def _at_socket(folder: pathlib.Path) -> socket.socket | None:
    if not hasattr(socket, "AF_UNIX"):
        return None
    path = _pointed(folder / POINTER) or folder / SOCKET
    connection = _socket(socket.AF_UNIX)
    connection.settimeout(CONNECT_S)
    try:
        connection.connect(os.fspath(path))
    except (OSError, ValueError):  # ValueError: a name with a zero in it
        connection.close()
        return None
    if not _listens_as_us(connection):
        connection.close()
        raise _anothers(path, "a process of another user listens there")
    return connection


def _socket(family: int) -> socket.socket:
    """Raises Unavailable where this program may open no more."""
    try:
        return socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise Unavailable(f"This program cannot connect to the node: {error.strerror}.", "It has too many files open; `ulimit -n` allows more.") from None


def _pointed(pointer: pathlib.Path) -> pathlib.Path | None:
    """The socket that the pointer names. Raises Unavailable when its folder is not ours alone.

    A node that was killed leaves the pointer behind: once the system has emptied /tmp, anybody can make such a folder.
    """
    try:
        path = pathlib.Path(os.fsdecode(pointer.read_bytes()))
        found = path.parent.lstat()
    except (OSError, ValueError):
        return None
    if not hasattr(os, "geteuid"):  # Windows keeps owners elsewhere
        return path
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise _anothers(path, "that folder is not yours")
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _anothers(path, "that folder is open to other users")
    return path


def _listens_as_us(connection: socket.socket) -> bool:
    """Did a process of our user make the other end? Systems that cannot say leave it to the folder's permissions."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", raw)
    return bool(uid == os.geteuid())


def _anothers(path: pathlib.Path, why: str) -> Unavailable:
    return Unavailable(f"No node of yours listens at {path}: {why}. Nothing was sent.", "Start yours again: ctorrent node")


def _at_port(path: pathlib.Path) -> socket.socket | None:
    """Each side shows that it read the file: another program may have taken the port of a node that died."""
    connection = _socket(socket.AF_INET)
    connection.settimeout(CONNECT_S)
    try:
        port, secret = path.read_text().split()
        key, mine = bytes.fromhex(secret), secrets.token_bytes(NONCE_BYTES)
        connection.connect(("127.0.0.1", int(port)))
        connection.sendall(mine)
        theirs, shown = _take(connection, NONCE_BYTES), _take(connection, NONCE_BYTES)
        if not secrets.compare_digest(shown, proof(key, b"node", mine, theirs)):
            raise ConnectionError("it does not know the secret")
        connection.sendall(proof(key, b"client", mine, theirs))
    except (OSError, ValueError, OverflowError):  # gone, refused, or the file is half written or not ours
        connection.close()
        return None
    return connection


def _take(connection: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes. Raises ConnectionError when they end before."""
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("ended early")
        data += more
    return data


def rebuilt(fields: Plain) -> CTorrentError:
    """The error class that was named, if it is one of ours."""
    kind = getattr(errors, str(fields.get("kind")), CTorrentError)
    if not (isinstance(kind, type) and issubclass(kind, CTorrentError)):
        kind = CTorrentError
    return kind(str(fields.get("message", "")), str(fields.get("hint", "")))
