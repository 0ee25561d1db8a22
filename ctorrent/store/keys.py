"""ports.Keys from files: who this node is, and whose.

A node key lies in the data folder, an owner key in the owner's folder (one person, many nodes). A new identity is made
only for somebody who has none: where a key is missing beside other data of its own, the start is refused with words.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from nacl import exceptions, pwhash, secret

from ctorrent.errors import KeyFileError, PeerError
from ctorrent.model.entry import Rotation
from ctorrent.model.ids import OwnerId, node_id, owner_id
from ctorrent.seal import KEY_BYTES, Signer
from ctorrent.store import keyfile
from ctorrent.store.folder import private_folder, replace, write_new
from ctorrent.store.keyfile import KeyFile
from ctorrent.wire.codec import open_rotation, seal_rotation

NODE_KEY_NAME = "node.key"
OWNER_KEY_NAME = "owner.key"
ROTATIONS_NAME = "owner.rotations"  # a line each, in hexadecimal: the body of the entry that tells it

# What a node writes under its identity. Settings and environments may be there before the first start.
_BOUND = ("journal*", "blobs/??/*")


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """ports.Keys."""

    node: Signer
    owner: Signer


def owner_folder() -> Path:
    """The owner's own folder on this machine, such as ~/.config/ctorrent."""
    import platformdirs

    return Path(platformdirs.user_config_dir("ctorrent", appauthor=False))


def load_or_create(data_dir: Path | str, owner_dir: Path | str | None = None) -> NodeKeys:
    """The node key of `data_dir` and the owner key of `owner_dir` (None: owner_folder()); makes both at a first start.

    Safe against another starter in the same folders. Call it before the journal is opened. Raises KeyFileError when a
    file is damaged, foreign or open to others, or missing where it must not be.
    """
    data = private_folder(Path(data_dir))
    owners = private_folder(owner_folder() if owner_dir is None else Path(owner_dir))
    node_path, owner_path = data / NODE_KEY_NAME, owners / OWNER_KEY_NAME
    if not node_path.exists():
        _refuse_orphans(data, node_path)
    elif not owner_path.exists():
        raise _ownerless(node_path, owner_path)
    owner = _load(owner_path, "owner") or _make(owner_path, "owner")
    node = _load(node_path, "node") or _make(node_path, "node")
    return NodeKeys(node, owner)


def make_owner(owner_dir: Path | str | None = None) -> OwnerId:
    """A new owner where there is none, because a person asked. Raises KeyFileError when there is one."""
    path = private_folder(owner_folder() if owner_dir is None else Path(owner_dir)) / OWNER_KEY_NAME
    if path.exists():
        raise KeyFileError(f"There is an owner key already: {path}.", "Move it to a safe place first.")
    return owner_id(_make(path, "owner").public)


def export_owner(owner_dir: Path | str | None, target: Path | str, passphrase: str = "") -> OwnerId:
    """Write a copy of the owner key for a second machine, mode 0600, under a passphrase if one is given.

    Raises KeyFileError when there is no owner key, or `target` exists.
    """
    path = (owner_folder() if owner_dir is None else Path(owner_dir)) / OWNER_KEY_NAME
    try:
        key = keyfile.read(path, "owner")
    except FileNotFoundError:
        raise KeyFileError(f"There is no owner key in {path.parent}.", "Start a node once; it makes one.") from None
    copy = KeyFile("owner", key.public, sealed=_seal(key.secret, passphrase)) if passphrase else key
    if not write_new(Path(target), keyfile.encode(copy)):
        raise KeyFileError(f"{target} exists.", "Name another file.")
    return owner_id(key.public)


def import_owner(
    source: Path | str, owner_dir: Path | str | None = None, passphrase: str = "", replace_other: bool = False
) -> OwnerId:
    """Make an exported key the owner key of this machine. A key that it replaces is kept beside it.

    Raises KeyFileError when the file or the passphrase is wrong, or another owner key is here and not to be replaced.
    """
    path = private_folder(owner_folder() if owner_dir is None else Path(owner_dir)) / OWNER_KEY_NAME
    try:
        key = keyfile.read(Path(source), "owner")
    except FileNotFoundError:
        raise KeyFileError(f"There is no file {source}.") from None
    if key.sealed:
        key = KeyFile("owner", key.public, _unseal(key, Path(source), passphrase))
    _put_aside(path, key.public, replace_other)
    replace(path, keyfile.encode(key))
    return owner_id(key.public)


def rotate_owner(owner_dir: Path | str | None, now_unix_s: int) -> tuple[OwnerId, OwnerId]:
    """A new owner key in place of the old one, which signs for it. -> both. The old key is kept beside the new one.

    The rotation is on the disk before the key is: it is told only once the key that it names is the owner's.
    """
    folder = owner_folder() if owner_dir is None else Path(owner_dir)
    path = folder / OWNER_KEY_NAME
    old = _load(path, "owner")
    if old is None:
        raise KeyFileError(f"There is no owner key in {folder}.", "Start a node once; it makes one.")
    made = secrets.token_bytes(KEY_BYTES)
    new = Signer(made)
    body = seal_rotation(Rotation(owner_id(old.public), owner_id(new.public), now_unix_s), old, new)
    lines = [one.hex() for one in (*rotations(folder, old.public), body)]
    replace(folder / ROTATIONS_NAME, "".join(f"{line}\n" for line in lines).encode())
    _put_aside(path, new.public, True)
    replace(path, keyfile.encode(KeyFile("owner", new.public, made)))
    return owner_id(old.public), owner_id(new.public)


def rotations(owner_dir: Path | str | None, public: bytes) -> list[bytes]:
    """Rotations that lead to the owner key `public`, oldest first. What does not is left out."""
    path = (owner_folder() if owner_dir is None else Path(owner_dir)) / ROTATIONS_NAME
    try:
        bodies = [bytes.fromhex(line) for line in path.read_text().split()]
        said = {rotation.new: (rotation.old, body) for body in bodies for rotation in [open_rotation(body)]}
    except FileNotFoundError:
        return []
    except (ValueError, OSError, PeerError) as error:
        raise KeyFileError(f"{path} is damaged: {error}.", "Restore it from a copy, or move it away: then others do not learn of the new key.") from None
    found: list[bytes] = []
    at = owner_id(public)
    while at in said and len(found) < len(bodies):
        at, body = said[at]
        found.insert(0, body)
    return found


def _put_aside(path: Path, public: bytes, replace_other: bool) -> None:
    if not path.exists():
        return
    if replace_other:
        name = f"{path.name}.old-{secrets.token_hex(4)}"  # a damaged one has no name of its own
        write_new(path.with_name(name), path.read_bytes())
        return
    here = keyfile.read(path, "owner").public
    if here != public:
        raise KeyFileError(
            f"Another owner's key is here: {owner_id(here)} in {path}.",
            "Say that it is to be replaced (--replace); it is kept beside the new one.",
        )


def _load(path: Path, kind: str) -> Signer | None:
    try:
        key = keyfile.read(path, kind)
    except FileNotFoundError:
        return None
    if key.sealed:
        raise KeyFileError(f"{path} is an exported key under a passphrase.", "Use: ctorrent owner import FILE")
    return Signer(key.secret)


def _make(path: Path, kind: str) -> Signer:
    made = secrets.token_bytes(KEY_BYTES)
    signer = Signer(made)
    if write_new(path, keyfile.encode(KeyFile(kind, signer.public, made))):
        return signer
    loaded = _load(path, kind)  # another starter was faster
    if loaded is None:
        raise KeyFileError(f"{path} appeared and vanished.", "Start again.")
    return loaded


def _refuse_orphans(data: Path, node_path: Path) -> None:
    orphan = next((found for pattern in _BOUND for found in sorted(data.glob(pattern))), None)
    if orphan is not None:
        raise KeyFileError(
            f"The node key {node_path} is missing, but {orphan} of the node that had it is here.",
            f"Restore the key, or move {data} away to begin again as a new node. No new identity was made.",
        )


def _ownerless(node_path: Path, owner_path: Path) -> KeyFileError:
    public = keyfile.read(node_path, "node").public
    return KeyFileError(
        f"The owner key {owner_path} is missing, but the node {node_id(public)} was started under one.",
        "Restore it, import it from another of your machines (ctorrent owner import FILE), or make a new owner "
        "(ctorrent owner new). No new identity was made.",
    )


def _seal(plain: bytes, passphrase: str) -> bytes:
    salt = secrets.token_bytes(pwhash.argon2id.SALTBYTES)
    return salt + bytes(secret.SecretBox(_stretch(passphrase, salt)).encrypt(plain))


def _unseal(key: KeyFile, path: Path, passphrase: str) -> bytes:
    salt, box = key.sealed[: pwhash.argon2id.SALTBYTES], key.sealed[pwhash.argon2id.SALTBYTES :]
    try:
        plain = secret.SecretBox(_stretch(passphrase, salt)).decrypt(box)
    except (exceptions.CryptoError, exceptions.ValueError, exceptions.TypeError):
        raise KeyFileError(f"The passphrase does not open {path}.", "Try again, or export the key again.") from None
    if len(plain) != KEY_BYTES or Signer(plain).public != key.public:
        raise KeyFileError(f"{path} does not hold the key that it names.", "Export the key again.")
    return plain


def _stretch(passphrase: str, salt: bytes) -> bytes:
    """Argon2id at libsodium's "moderate": 0.7 s and 256 MB, for a file that may be stolen and guessed at leisure."""
    return pwhash.argon2id.kdf(
        secret.SecretBox.KEY_SIZE,
        passphrase.encode(),
        salt,
        opslimit=pwhash.argon2id.OPSLIMIT_MODERATE,
        memlimit=pwhash.argon2id.MEMLIMIT_MODERATE,
    )
