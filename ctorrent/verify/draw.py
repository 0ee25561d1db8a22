"""What the coordinator leaves to chance: which agreed blocks are run once more, and by whom.

Every draw is a keyed hash of the job's draw secret, whose digest is in the signed manifest and which the closing
amendment reveals. So no worker can foresee a draw, and anybody can redo all of them afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable

from ctorrent.model.ids import NodeId, node_public
from ctorrent.seal import digest, digests

_DOMAIN = "ctorrent/draw/chance/1"
_TOP = 1 << 64  # what the eight bytes that count hold


def chance(secret: bytes, what: str, index: int, again: int = 0) -> float:
    """A number in [0, 1) that belongs to block `index`. what: the purpose, such as "audit". again: 0, 1, … of it."""
    return int.from_bytes(digest(_DOMAIN, *_parts(secret, what, index, again), b"")[:8], "big") / _TOP


def pick(secret: bytes, what: str, index: int, again: int, candidates: Iterable[NodeId]) -> NodeId | None:
    """One of the candidates, each as likely as the others, whatever their order; None when there are none."""
    nodes = list(candidates)
    numbers = (raw[:8] for raw in digests(_DOMAIN, _parts(secret, what, index, again), map(node_public, nodes)))
    return min(zip(numbers, nodes, strict=True), default=(b"", None))[1]


def _parts(secret: bytes, what: str, index: int, again: int) -> tuple[bytes, ...]:
    return secret, what.encode(), index.to_bytes(8, "big"), again.to_bytes(4, "big")
