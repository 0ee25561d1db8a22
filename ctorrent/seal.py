"""Digests and signatures over the exact bytes that travelled.

Every digest and every signature begins with a domain string, so that bytes made for one purpose never verify
for another. Digest: SHA-256 over `domain ‖ 0x00 ‖ (u64be length ‖ part)…`. Signature: Ed25519 (PyNaCl) over
`domain ‖ 0x00 ‖ body`. Keys are raw 32-byte Ed25519 keys; a node's key is also its libp2p identity.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey as _NaclKey
from nacl.signing import VerifyKey

from ctorrent.errors import BadSignature, Malformed

DIGEST_BYTES = 32
KEY_BYTES = 32
SIGNATURE_BYTES = 64
JOIN_BYTES_MAX = 4096  # parts so small are hashed in one call: a block costs eight digests, and calls are what they cost


def digest(domain: str, *parts: bytes) -> bytes:
    """SHA-256 of length-prefixed parts under a domain. -> 32 bytes."""
    pieces = [domain.encode(), b"\0"]
    for part in parts:
        pieces += (len(part).to_bytes(8, "big"), part)
    if sum(map(len, parts)) <= JOIN_BYTES_MAX:
        return hashlib.sha256(b"".join(pieces)).digest()
    hasher = hashlib.sha256()
    for piece in pieces:
        hasher.update(piece)
    return hasher.digest()


def digests(domain: str, parts: tuple[bytes, ...], lasts: Iterable[bytes]) -> Iterator[bytes]:
    """`digest(domain, *parts, last)` for each of `lasts`; what they share is hashed once."""
    shared = hashlib.sha256(domain.encode() + b"\0")
    for part in parts:
        shared.update(len(part).to_bytes(8, "big") + part)
    for last in lasts:
        hasher = shared.copy()
        hasher.update(len(last).to_bytes(8, "big") + last)
        yield hasher.digest()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A signed body exactly as it travelled: never re-encoded, stored as it arrived."""

    body: bytes
    public: bytes
    signature: bytes


class Signer:
    """A private Ed25519 key that signs under domains. Its repr never shows the secret."""

    __slots__ = ("_key", "public")

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_BYTES:
            raise ValueError(f"an Ed25519 secret is {KEY_BYTES} bytes, not {len(secret)}")
        self._key = _NaclKey(secret)
        self.public: bytes = bytes(self._key.verify_key)

    def sign(self, domain: str, body: bytes) -> Sealed:
        """Seal `body` under `domain`."""
        return Sealed(body, self.public, self._key.sign(domain.encode() + b"\0" + body).signature)

    def secret(self) -> bytes:
        """The raw 32-byte secret, for the one library that needs the key itself. Never logged, never sent."""
        return bytes(self._key)

    def __repr__(self) -> str:
        return f"Signer(public={self.public.hex()[:16]}…)"


def verify(domain: str, sealed: Sealed) -> None:
    """Raise BadSignature unless `sealed` verifies under its own key and this domain."""
    if len(sealed.public) != KEY_BYTES or len(sealed.signature) != SIGNATURE_BYTES:
        raise Malformed(f"{domain}: a key is {KEY_BYTES} bytes and a signature {SIGNATURE_BYTES}")
    try:
        VerifyKey(sealed.public).verify(domain.encode() + b"\0" + sealed.body, sealed.signature)
    except BadSignatureError:
        raise BadSignature(f"{domain}: the signature does not verify") from None


def merkle_root(leaves: list[bytes]) -> bytes:
    """Root over digests in order; an odd node is carried up unchanged. Empty list: digest of nothing.

    leaves: 32-byte digests. Leaf and inner nodes have distinct domains (RFC 6962 gives the reason: second preimages).
    """
    if not leaves:
        return digest("ctorrent/merkle/empty/1")
    level = [digest("ctorrent/merkle/leaf/1", leaf) for leaf in leaves]
    while len(level) > 1:
        level = _raise(level)
    return level[0]


def merkle_path(leaves: list[bytes], index: int) -> list[tuple[bool, bytes]]:
    """Siblings from leaf to root for `leaves[index]`: (sibling is on the left, sibling digest)."""
    level = [digest("ctorrent/merkle/leaf/1", leaf) for leaf in leaves]
    path: list[tuple[bool, bytes]] = []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append((sibling < index, level[sibling]))
        level, index = _raise(level), index // 2
    return path


def merkle_check(root: bytes, leaf: bytes, path: list[tuple[bool, bytes]]) -> bool:
    """Does `path` lead from `leaf` to `root`?"""
    node = digest("ctorrent/merkle/leaf/1", leaf)
    for on_left, sibling in path:
        pair = (sibling, node) if on_left else (node, sibling)
        node = digest("ctorrent/merkle/node/1", *pair)
    return node == root


def _raise(level: list[bytes]) -> list[bytes]:
    pairs = [
        digest("ctorrent/merkle/node/1", level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)
    ]
    return pairs + level[len(pairs) * 2 :]
