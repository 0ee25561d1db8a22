"""Policies that others run, as published, in the place of verify/quorum.py: they decide, all other code is ours.

They know no bans, no re-runs, no audits and no trial by the requester's own machine: majority is truth.
Sources: D. P. Anderson, "BOINC: a platform for volunteer computing", J. Grid Computing 2020, and its wiki page
AdaptiveReplication: a host's consecutive valid results CV count only where they were replicated; from CV = 10 on a result
is replicated with chance 1/CV only; an invalid one sets CV to 0; where two differ one more is made until a majority.
One thing is simpler here: BOINC throws its dice when it sends a task, this when the result comes.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.result import Verdict
from ctorrent.verify.words import Abandoned, Agreed, Arrived, Disputed, Effect, Event, NeedReplicas, Voted


@dataclass(slots=True)
class _Answer:
    worker: NodeId
    owner: str
    digest: Digest
    output: bytes | None


@dataclass(slots=True)
class _Votes:
    answers: list[_Answer] = field(default_factory=list)
    target: int = 0


class Replicated:
    """`replicas` answers, then one more at a time until more than half of `replicas` are the same. One voice an owner."""

    LIMIT = 16  # answers to one block: then it is reported disputed

    paused = False
    checking = False

    def __init__(self, replicas: int) -> None:
        self.differences: dict[int, str] = {}
        self._replicas = replicas
        self._open: dict[int, _Votes] = {}
        self._closed: set[int] = set()

    def handle(self, event: Event, now: float = 0.0) -> list[Effect]:
        out: list[Effect] = []
        match event:
            case Arrived():
                for index, digest, output in zip(event.indices, event.digests, event.outputs, strict=True):
                    self._add(index, _Answer(event.worker, event.owner, digest, output), out)
            case Abandoned(indices):
                self._closed.update(indices)
            case _:
                pass
        return out

    def take_learned(self) -> list[Effect]:
        """Nothing that would outlive a restart."""
        return []

    def _add(self, index: int, answer: _Answer, out: list[Effect]) -> None:
        if index in self._closed:
            return
        votes = self._open.setdefault(index, _Votes(target=self._replicas))
        if any(known.owner == answer.owner for known in votes.answers):
            return
        votes.answers.append(answer)
        if len(votes.answers) >= votes.target:
            self._weigh(index, votes, out)

    def _weigh(self, index: int, votes: _Votes, out: list[Effect]) -> None:
        digest, most = Counter(answer.digest for answer in votes.answers).most_common(1)[0]
        if most > self._replicas // 2:
            self._settle(index, [answer for answer in votes.answers if answer.digest == digest], votes, out)
        elif len(votes.answers) >= self.LIMIT:
            self._closed.add(index)
            out.append(Disputed(index, "no majority", tuple(answer.worker for answer in votes.answers)))
        else:
            votes.target = len(votes.answers) + 1
            out.append(_one_more(index, votes))

    def _settle(self, index: int, winners: list[_Answer], votes: _Votes, out: list[Effect]) -> None:
        del self._open[index]
        self._closed.add(index)
        first, workers = winners[0], tuple(answer.worker for answer in winners)
        cross = len(winners) > 1
        out.append(Agreed([index], [first.digest], [first.output], [workers], False, cross))
        if cross:
            out.extend(Voted(worker, Verdict.AGREED, [index]) for worker in workers)


class Adaptive(Replicated):
    """BOINC's adaptive replication: quorum of two, and of one for the trusted."""

    TRUSTED: ClassVar[int] = 10

    def __init__(self) -> None:
        super().__init__(2)
        self._valid: dict[NodeId, int] = {}  # in a row
        self._dice = random.Random(1)

    def _add(self, index: int, answer: _Answer, out: list[Effect]) -> None:
        if index not in self._open and index not in self._closed:
            valid = self._valid.get(answer.worker, 0)
            votes = self._open[index] = _Votes([answer])
            if valid >= self.TRUSTED and self._dice.random() >= 1.0 / valid:
                super()._settle(index, [answer], votes, out)
                return
            votes.target = 2
            out.append(_one_more(index, votes))
            return
        super()._add(index, answer, out)

    def _settle(self, index: int, winners: list[_Answer], votes: _Votes, out: list[Effect]) -> None:
        super()._settle(index, winners, votes, out)
        for answer in votes.answers:
            self._valid[answer.worker] = self._valid.get(answer.worker, 0) + 1 if answer in winners else 0


def _one_more(index: int, votes: _Votes) -> NeedReplicas:
    return NeedReplicas(index, 1, False, tuple(answer.owner for answer in votes.answers))
