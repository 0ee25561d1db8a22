"""One secret in one text file, refused when anything about it is wrong.

    ctorrent-key 1
    kind node
    public 3d40…
    secret 9d61…            or: sealed <salt ‖ nonce ‖ secretbox>, under a passphrase (Argon2id, for export only)
    check 5f1c…             first 8 bytes of the digest of the lines above: tells damage, not tampering

A key file is read only if it is a plain file of this user that nobody else may read.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ctorrent.errors import KeyFileError
from ctorrent.seal import KEY_BYTES, Signer, digest
from ctorrent.store.system import CLOSE_ON_EXEC, is_foreign, others_may

_HEADER = "ctorrent-key 1"
_BYTES_MAX = 4096  # ours have ~300; whatever is larger is not a key file
_DOMAIN = "ctorrent/keyfile/1"


@dataclass(frozen=True, slots=True, repr=False)
class KeyFile:
    """What stands in a file. Exactly one of `secret` and `sealed` is not empty."""

    kind: str  # "node" or "owner"
    public: bytes
    secret: bytes = b""
    sealed: bytes = b""

    def __repr__(self) -> str:
        return f"KeyFile({self.kind}, public={self.public.hex()[:16]}…)"


def encode(key: KeyFile) -> bytes:
    """The file's text."""
    hidden = f"sealed {key.sealed.hex()}" if key.sealed else f"secret {key.secret.hex()}"
    text = f"{_HEADER}\nkind {key.kind}\npublic {key.public.hex()}\n{hidden}\n"
    return f"{text}check {_check(text)}\n".encode()


def decode(raw: bytes, path: Path, kind: str) -> KeyFile:
    """The inverse of encode(). Raises KeyFileError that names the file, what is wrong, and what to do."""
    try:
        text = raw.decode("ascii")
        body, _, check = text.rpartition("check ")
        if not text.startswith("ctorrent-key "):
            raise _damaged(path, kind, "it does not begin as a key file does")
        if not text.startswith(_HEADER + "\n"):
            raise KeyFileError(f"{path} is a key file of a newer format.", "Update ctorrent; nothing was changed.")
        if check != _check(body) + "\n":
            raise _damaged(path, kind, "its checksum does not match")
        fields = dict(line.split(" ", 1) for line in body.splitlines()[1:])
        key = KeyFile(
            fields["kind"],
            bytes.fromhex(fields["public"]),
            bytes.fromhex(fields.get("secret", "")),
            bytes.fromhex(fields.get("sealed", "")),
        )
    except (UnicodeDecodeError, ValueError, KeyError):
        raise _damaged(path, kind, "it does not read as a key file does") from None
    return _coherent(key, path, kind)


def read(path: Path, kind: str) -> KeyFile:
    """Read a file that only this user can. Raises KeyFileError; FileNotFoundError when there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | CLOSE_ON_EXEC | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise KeyFileError(f"The key file {path} cannot be read: {error.strerror}.", "Mend its permissions.") from None
    with os.fdopen(handle, "rb") as file:
        _refuse_open_to_others(path, os.fstat(file.fileno()))
        return decode(file.read(_BYTES_MAX), path, kind)


def _refuse_open_to_others(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise KeyFileError(f"The key file {path} is not a plain file.", "Move it away and restore the real one.")
    if is_foreign(status):
        raise KeyFileError(
            f"The key file {path} belongs to user {status.st_uid}, and this program runs as user {os.geteuid()}.",
            f"Run it as that user, or give the file to this one: chown {os.geteuid()} {path}",
        )
    if others_may(status, 0o077):
        raise KeyFileError(
            f"The key file {path} can be read by others (mode {stat.S_IMODE(status.st_mode):04o}).",
            f"If nobody has copied it: chmod 600 {path}",
        )


def _coherent(key: KeyFile, path: Path, kind: str) -> KeyFile:
    if key.kind != kind:
        raise KeyFileError(f"{path} holds a key of kind {key.kind!r}, not {kind!r}.", f"Put the {kind} key there.")
    if bool(key.secret) == bool(key.sealed) or len(key.public) != KEY_BYTES:
        raise _damaged(path, kind, "a line is missing")
    if key.secret and (len(key.secret) != KEY_BYTES or Signer(key.secret).public != key.public):
        raise _damaged(path, kind, "its public line is not the public half of its secret")
    return key


def _damaged(path: Path, kind: str, finding: str) -> KeyFileError:
    instead = {
        "node": "or move the whole data folder away to begin again as a new node",
        "owner": "or import the owner key from another of your machines (ctorrent owner import FILE)",
    }
    return KeyFileError(
        f"The key file {path} is damaged: {finding}.",
        f"Restore it from a copy of your own, {instead.get(kind, 'or move it away')}. No new identity was made.",
    )


def _check(text: str) -> str:
    return digest(_DOMAIN, text.encode())[:8].hex()
