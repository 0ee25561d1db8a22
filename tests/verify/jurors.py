"""A jury for short stories: who is who, what they answer, and which blocks the secret draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ctorrent.model.ids import NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.verify import draw
from ctorrent.verify.audit import AuditRules
from ctorrent.verify.jury import Jury
from ctorrent.verify.words import (
    Agreed,
    Arrived,
    Effect,
    Expelled,
    Known,
    NeedReplicas,
    NextOwner,
    Settled,
    Total,
    Voted,
)
from tests.verify.test_quorum import came, out

A, B, C, D, E, LIAR, ME = (NodeId(name) for name in ("a", "b", "c", "d", "e", "liar", "me"))
SECRET = b"s" * 32
BARE = AuditRules(  # no own runs and no trials, nobody asked again; numbers of its own, whatever the rules are tuned to
    own_first=0, own_share=0.0, reruns_first=0, anchors=0, window=10, window_strict=2, strict_share=0.03,
    doubted_share=1.0, doubt=1e-5, wrong_least=3, outvoted_rate=0.0, own_at_once=2,
)  # fmt: skip
ECONOMY = replace(BARE, alone=True)


def jury(rules: AuditRules = BARE, replicas: int = 2, established: tuple[NodeId, ...] = (), **policy: Any) -> Jury:
    assurance = Assurance.ECONOMY if rules.alone else Assurance.STRICT
    made = Jury(Verify(replicas=replicas, assurance=assurance, **policy), rules, SECRET, ME)
    for worker in established:
        made.handle(Known(worker, f"own_{worker}", 30))
    return made


def chance(index: int) -> float:
    return draw.chance(SECRET, "audit", index)


def quiet(count: int, first: int = 0, share: float = 0.3) -> list[int]:
    """Blocks that are not drawn for an audit at this share."""
    return [i for i in range(first, first + 100 * count) if chance(i) >= share][:count]


def drawn(count: int, share: float = 0.03) -> list[int]:
    """Blocks that are."""
    return [i for i in range(10_000) if chance(i) < share][:count]


def of(effects: list[Effect], kind: type) -> list[Any]:
    return [effect for effect in effects if isinstance(effect, kind)]


def indices(effects: list[Effect], kind: type) -> list[int]:
    return [index for effect in of(effects, kind) for index in effect.indices]


def both(made: Jury, blocks: list[int], one: NodeId = A, other: NodeId = B, value: object = 1) -> list[Effect]:
    """Two owners give the same for these blocks."""
    return [*made.handle(came(one, out(value), *blocks)), *made.handle(came(other, out(value), *blocks))]


__all__ = [
    "BARE",
    "ECONOMY",
    "LIAR",
    "ME",
    "SECRET",
    "A",
    "Agreed",
    "Arrived",
    "B",
    "C",
    "D",
    "E",
    "Expelled",
    "Known",
    "NeedReplicas",
    "NextOwner",
    "Settled",
    "Total",
    "Voted",
    "both",
    "came",
    "chance",
    "drawn",
    "indices",
    "jury",
    "of",
    "out",
    "quiet",
]  # fmt: skip
