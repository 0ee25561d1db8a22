"""Names of things: nodes, owners, jobs, blobs, rings.

A node id is the libp2p peer id of an Ed25519 key (base58btc of the identity multihash), so that it is at once a
name, an address suffix and a public key. Ties anywhere break on it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NewType

import base58

from ctorrent.errors import Malformed
from ctorrent.seal import DIGEST_BYTES, KEY_BYTES

NodeId = NewType("NodeId", str)
OwnerId = NewType("OwnerId", str)
JobId = NewType("JobId", bytes)
Digest = NewType("Digest", bytes)

# identity multihash of a libp2p PublicKey{Type: Ed25519, Data: 32 bytes}
_PEER_PREFIX = bytes.fromhex("002408011220")
_OWNER_PREFIX = "own_"


def node_id(public: bytes) -> NodeId:
    """Peer id of a raw 32-byte Ed25519 public key, such as "12D3KooW…"."""
    if len(public) != KEY_BYTES:
        raise Malformed(f"a node key is {KEY_BYTES} bytes, not {len(public)}")
    return NodeId(base58.b58encode(_PEER_PREFIX + public).decode())


@lru_cache(maxsize=4096)  # asked for with every commitment; a base58 number of 38 bytes takes 10 µs to read
def node_public(node: NodeId) -> bytes:
    """The raw public key inside a node id. Raises Malformed for any other peer id."""
    try:
        raw: bytes = base58.b58decode(node)
    except ValueError:
        raise Malformed(f"{node[:60]!r} is not a peer id") from None
    if not raw.startswith(_PEER_PREFIX) or len(raw) != len(_PEER_PREFIX) + KEY_BYTES:
        raise Malformed(f"{node[:60]!r} is not the id of an Ed25519 node")
    return raw[len(_PEER_PREFIX) :]


def owner_id(public: bytes) -> OwnerId:
    """Text form of an owner's raw public key: "own_" + base58."""
    if len(public) != KEY_BYTES:
        raise Malformed(f"an owner key is {KEY_BYTES} bytes, not {len(public)}")
    return OwnerId(_OWNER_PREFIX + base58.b58encode(public).decode())


def owner_public(owner: OwnerId) -> bytes:
    """The raw public key inside an owner id."""
    try:
        raw: bytes = base58.b58decode(owner.removeprefix(_OWNER_PREFIX))
    except ValueError:
        raise Malformed(f"{owner[:60]!r} is not an owner id") from None
    if not owner.startswith(_OWNER_PREFIX) or len(raw) != KEY_BYTES:
        raise Malformed(f"{owner[:60]!r} is not an owner id (own_…)")
    return raw


def checked_digest(raw: bytes) -> Digest:
    """`raw` as a Digest. Raises Malformed unless it is 32 bytes."""
    if len(raw) != DIGEST_BYTES:
        raise Malformed(f"a digest is {DIGEST_BYTES} bytes, not {len(raw)}")
    return Digest(raw)


def show_job(job: JobId) -> str:
    """Eight characters a person can type; any unambiguous prefix of it names the job."""
    return base64.b32encode(job[:5]).decode().lower()


class RingKind(Enum):
    FRIENDS = 1
    SWARM = 2
    PUBLIC = 3


@dataclass(frozen=True, slots=True, order=True)
class Ring:
    """Who may see and run a thing. `root` is whose friends (an owner) or which swarm (its root owner)."""

    kind: RingKind
    root: OwnerId | None = None

    def __post_init__(self) -> None:
        if (self.root is None) != (self.kind is RingKind.PUBLIC):
            raise Malformed(f"ring {self.kind.name.lower()} with root {self.root!r}")

    def __str__(self) -> str:
        return self.kind.name.lower() if self.root is None else f"{self.kind.name.lower()}:{self.root}"

    @classmethod
    def parse(cls, text: str) -> Ring:
        """The inverse of str()."""
        kind, _, root = text.partition(":")
        try:
            return cls(RingKind[kind.upper()], OwnerId(root) if root else None)
        except KeyError:
            raise Malformed(f"{text[:60]!r} is not a ring (friends:own_…, swarm:own_…, public)") from None
