"""What is compared: our two policies, as a job's manifest names them, and three that are used elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

from ctorrent.dispatch.handout import Handout
from ctorrent.dispatch.shares import Shares
from ctorrent.model.job import Assurance, Verify
from ctorrent.node import coordinate, policy

from .baselines import Adaptive, Replicated


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """One attribute of the real code is another while this lasts."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@dataclass(frozen=True, slots=True)
class Policy:
    """verify: as in the manifest. decides: in place of verify/quorum.py; None: the real one.

    trusts_after: valid blocks after which a worker may answer alone, which attackers know; 0: never.
    """

    name: str
    words: str
    verify: Verify
    trusts_after: int = 0
    decides: Callable[[], Any] | None = None

    @property
    def ours(self) -> bool:
        return self.decides is None

    def in_place(self) -> AbstractContextManager[None]:
        """The real coordination decides by this policy while this lasts."""
        return nullcontext() if self.decides is None else _decided_by(self.decides)


@contextmanager
def _decided_by(decides: Callable[[], Any]) -> Iterator[None]:
    """Another machine counts the votes; as elsewhere a block's replicas are handed out at once, one right after the other,
    and newcomers have no lesser share."""
    with (
        replaced(coordinate, "votes_of", lambda *_: decides()),
        replaced(policy, "is_audited", lambda _: False),
        replaced(Shares, "room", lambda *_: NO_CAP),
        replaced(Handout, "_pick", lambda self, weights: len(weights) - 1),  # the first queue holds blocks nobody has yet
    ):
        yield


NO_CAP = 1 << 30
EVERYBODY = 16  # replicas of one block, at most: colluders always find a majority before that

POLICIES = {
    one.name: one
    for one in (
        Policy("strict", "ours: every block by two owners, and audits", Verify(assurance=Assurance.STRICT)),
        Policy("economy", "ours: one owner once trusted, and audits", Verify(assurance=Assurance.ECONOMY), 15),
        Policy("quorum-2", "two that agree, as most projects run", Verify(2, EVERYBODY), 0, partial(Replicated, 2)),
        Policy("quorum-3", "two of three that agree", Verify(3, EVERYBODY), 0, partial(Replicated, 3)),
        Policy("boinc", "BOINC's adaptive replication, as published", Verify(1, EVERYBODY), Adaptive.TRUSTED, Adaptive),
    )
}
