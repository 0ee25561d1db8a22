"""Where the HTTP side listens: HOST:PORT as a person writes it, and what happens when that is taken."""

from __future__ import annotations

import errno
import ipaddress
import os
import pathlib
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass

from ctorrent.door import HTTP_ADDRESS, HTTP_OPEN
from ctorrent.errors import LocalError

OFF = "off"
DEFAULT = "127.0.0.1:8420"
BACKLOG = 128
_INSTEAD = "Choose another: --http 127.0.0.1:0 takes any free port of this machine alone; --http off does without."
_EXAMPLE = f"Write HOST:PORT, such as --http {DEFAULT}, or --http off."


@dataclass(frozen=True, slots=True)
class Place:
    """A socket that listens. release() closes it and takes the address file away."""

    listening: socket.socket
    host: str  # as it was asked for
    port: int
    secure: bool  # TLS
    folder: pathlib.Path
    note: str = ""  # what went otherwise than asked, for a person

    @property
    def url(self) -> str:
        """How this machine's own programs reach it, without a final slash."""
        host = "::1" if self.host == "::" else self.host
        if host == "0.0.0.0" or host.lower() == "localhost":  # the name means ::1 as well, where anybody may listen
            host = "127.0.0.1"
        return f"http{'s' if self.secure else ''}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def publish(self) -> None:
        """Write the address where `ctorrent status`, `open` and others' programs look."""
        write_private(self.folder / HTTP_ADDRESS, self.url + "\n")

    def release(self) -> None:
        self.listening.close()
        with suppress(OSError):
            address = self.folder / HTTP_ADDRESS
            if not address.exists() or address.read_text().strip() == self.url:  # else it is another node's
                forget(self.folder)


def forget(folder: pathlib.Path) -> None:
    """Take away the address that a node before, killed perhaps, left behind, and the way to its page."""
    (folder / HTTP_ADDRESS).unlink(missing_ok=True)
    (folder / HTTP_OPEN).unlink(missing_ok=True)


def claim(text: str, folder: pathlib.Path) -> Place | None:
    """Listen at HOST:PORT; None for "off". Raises LocalError with what is wrong with it.

    The default port that is taken, by another node of this machine mostly, is replaced by a free one, and `note` says
    so. A port that somebody asked for is theirs or none.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if text.strip().lower() == OFF:
        return None
    host, port = parse(text)
    secure = not is_loopback(host)
    try:
        listening = _listen(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or text != DEFAULT:
            raise LocalError(_why_not(host, port, error), _INSTEAD) from None
        listening = _listen(host, 0)
        free = listening.getsockname()[1]
        return Place(listening, host, free, secure, folder, f"Port {port} is taken here: this node's page and API are on port {free}.")
    return Place(listening, host, listening.getsockname()[1], secure, folder)


def parse(text: str) -> tuple[str, int]:
    """"127.0.0.1:8420", "[::1]:8420", "localhost:8420" -> host, port. Raises LocalError."""
    plain = text.strip().rstrip("/")
    for scheme in ("http://", "https://"):
        if plain.startswith(scheme):
            plain = plain.removeprefix(scheme)
            if scheme == "http://" and not is_loopback(plain.rpartition(":")[0].strip("[]")):
                raise LocalError(f"--http {text:.60}: beyond this machine the API is served with TLS only.", "Leave http:// away; the node makes a certificate of its own.")
    host, colon, port = plain.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    host = host.strip("[]")
    if not colon or not host or (":" in host and not bracketed) or not host.isprintable() or " " in host:
        raise LocalError(f"--http {text!r:.60} names no address.", _EXAMPLE)
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise LocalError(f"--http {text!r:.60}: {port!r:.20} is not a port.", "A port is a number from 0 to 65535; 0 takes any free one.")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Can only this machine reach it?"""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def write_private(path: pathlib.Path, text: str) -> None:
    """Whole or not at all, for this user alone. Raises LocalError."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        fresh.replace(path)
    except OSError as error:
        raise LocalError(f"{path} cannot be written: {error.strerror}.", "Make room on the disk, or choose another folder with --data-dir.") from None


def _listen(host: str, port: int) -> socket.socket:
    """The first address of `host`: 127.0.0.1 of localhost. Raises OSError."""
    if host.lower() == "localhost":
        host = "127.0.0.1"
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # elsewhere the word means that two may share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _why_not(host: str, port: int, error: OSError) -> str:
    where = f"{_show(host)}:{port}"
    if error.errno == errno.EADDRINUSE:
        return f"Something on this machine listens at {where} already."
    if error.errno == errno.EACCES:
        return f"This user may not listen at {where}: ports below 1024 are the administrator's."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine, so the API cannot listen there."
    return f"The API cannot listen at {where}: {error.strerror or error}."


def _show(host: str) -> str:
    return f"[{host}]" if ":" in host else host
