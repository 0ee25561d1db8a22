"""Does a program give the same when run again, and on other machines? Counted by owner over the first disputes. Pure.

Where the requester can run blocks, what owners change is a suspicion and no more: colluders may dispute with one another
and change at will. Its own double runs of disputed blocks, or its trials of units (apart.py), show whether it is the program.

A minority of liars changes its answers too, so nothing is laid to the program before most of those who were asked
again have changed theirs, or most blocks that were compared came out different everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ctorrent.verify import words as w

CHANGED_SHARE = 0.75  # of the owners asked again: in a dispute of a liar and an honest worker at most half change
OWNERS_MIN = 3
NEW_FACTOR = 4  # times as many disputes are examined where somebody is new: a thousand workers are not all asked
OWN_DIFFERED_MIN, OWN_DIFFERED_SHARE = 2, 0.04  # of its double runs: a machine that errs in 0.2 % shows a tenth of it
OWN_STEADY = 32  # of its double runs gave the same: a program that wavers in 5 % of runs passes with 4 %; then changers lie
FEW_OWNERS = 2  # one alone may have bad memory
DISPUTED_MIN = 8  # blocks without any majority: with a fifth of hostile workers that is no chance
OUTVOTED_MIN = 3  # blocks in which three owners agree against the requester's own two runs


class Steadiness:
    """Of one job. `reruns_first`: disputes in which both sides are asked again."""

    __slots__ = (
        "_asked", "_disputed", "_examined", "_outvoted", "_own_differed", "_own_same", "_owners", "_reruns_first", "_together", "coalesce_off", "off",
        "paused", "suspected", "version",
    )  # fmt: skip

    def __init__(self, reruns_first: int) -> None:
        self._reruns_first = reruns_first
        self._asked: dict[str, int] = {}  # blocks that an owner was asked for again and that are not back
        self._owners: dict[str, bool] = {}  # asked again -> did one of its answers change?
        self._together: dict[str, bool] = {}  # of those, whose answer came with others', and changed when run alone
        self._outvoted: dict[int, None] = {}
        self._disputed = self._examined = self._own_differed = self._own_same = 0
        self.suspected = False  # the requester's own runs of what is disputed are wanted
        self.coalesce_off = False  # what was run together proves nothing
        self.paused = False
        self.off = False  # the program was found out once: nobody is blamed any more
        self.version = 0  # one more with every change

    def may_ask_again(self, together: Sequence[str]) -> bool:
        """Is this one of the first disputes? Counts it. together: owners who ran the block with others."""
        new = not self.coalesce_off and any(owner not in self._together for owner in together)
        most = self._reruns_first * (NEW_FACTOR if new else 1)
        if self.off or self._examined >= most:
            return False
        self._examined += 1
        self.version += 1
        return True

    def ask(self, owners: Iterable[str]) -> None:
        """They are asked to run a block again."""
        for owner in owners:
            self._asked[owner] = self._asked.get(owner, 0) + 1

    def answered(self, owner: str) -> None:
        """It has, or will not."""
        self._asked[owner] = self._asked.get(owner, 1) - 1
        if self._asked[owner] <= 0:
            del self._asked[owner]

    def examined(self, owner: str, changed: bool, alone: bool) -> None:
        """It ran a block again, alone. alone: as it did before. What ran together says nothing once that is off."""
        if self.coalesce_off and not alone:
            return
        for found in (self._owners,) if alone else (self._owners, self._together):
            found[owner] = found.get(owner, False) or changed
        self.version += 1

    def forget(self, owner: str) -> None:
        """It lied: what it answers says nothing about the program."""
        self._asked.pop(owner, None)
        self._owners.pop(owner, None)
        self._together.pop(owner, None)
        self.version += 1

    def outvoted(self, index: int) -> None:
        """The requester's own runs of a block stand alone against others that agree."""
        self._outvoted[index] = None
        self.version += 1

    def disputed(self) -> None:
        """A block ended without a majority."""
        self._disputed += 1
        self.version += 1

    def doubted(self, able: bool, out: list[w.Effect]) -> bool:
        """Does what was seen speak against the program? First against running its blocks together.

        able: the requester can run blocks, and nobody's word is enough.
        """
        if self.off:
            return False
        asked = len(self._owners.keys() | self._asked.keys())  # who changes its answer is not back sooner than who does not
        changes = _most(self._owners, OWNERS_MIN, asked)
        few = FEW_OWNERS if self._examined >= self._reruns_first else OWNERS_MIN  # no more are asked: these have to do
        parts = not self.coalesce_off and (changes or _most(self._together, few, asked))
        alleged = able and not self._own_differed
        self.suspected = alleged and (changes or parts) and self._own_same < OWN_STEADY
        if alleged:
            changes = parts = False
        if parts:
            self.part(out)
        elif changes:
            self.pause("the same machines give other results when asked again", out)
        elif self._disputed >= DISPUTED_MIN or len(self._outvoted) >= OUTVOTED_MIN:
            self.pause("its results differ from machine to machine", out)
        return self.paused

    def part(self, out: list[w.Effect]) -> None:
        """From now on each block runs alone."""
        self.coalesce_off = True
        self.version += 1
        self._owners.clear()
        self._examined = 0
        out.append(w.CoalesceOff("blocks came out otherwise when run alone"))

    def pause(self, words: str, out: list[w.Effect]) -> None:
        """It is the program."""
        if not self.off:
            self.paused = self.off = True
            self.version += 1
            out.append(w.JobNondeterministic(f"{words}: {w.HINT}"))

    def own_differed(self, words: str, runs: int, out: list[w.Effect]) -> bool:
        """The requester's two runs of a block gave two answers. -> is it the program? runs: double runs so far."""
        self._own_differed += 1
        self.version += 1
        if self._own_differed < OWN_DIFFERED_MIN or self._own_differed < OWN_DIFFERED_SHARE * runs:
            return self.off
        self.pause(f"run twice on one machine, {words}", out)
        return True

    def own_ran(self, same: bool) -> None:
        """Did the requester's two runs of a block give the same?"""
        self._own_same += same

    def resume(self) -> None:
        self.paused, self.off = False, True
        self.version += 1

    def memo(self) -> list[Any]:
        """All of it, as a journal keeps it."""
        counts = [self._disputed, self._examined, self._own_differed, list(self._outvoted)]
        asked = [[[owner, changed] for owner, changed in found.items()] for found in (self._owners, self._together)]
        return [self.coalesce_off, self.paused, self.off, *counts, *asked]

    def recall(self, memo: Sequence[Any]) -> None:
        """As memo() gave it, in a life before a restart."""
        self.coalesce_off, self.paused, self.off, self._disputed, self._examined, self._own_differed, outvoted, owners, together = memo
        self._outvoted = dict.fromkeys(outvoted)
        self._owners, self._together = dict(owners), dict(together)


def _most(asked: dict[str, bool], least: int, all_asked: int) -> bool:
    """Did most of the owners asked again change their answers?"""
    changed = sum(asked.values())
    return changed >= least and changed > CHANGED_SHARE * all_asked
