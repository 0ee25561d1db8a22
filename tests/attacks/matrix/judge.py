"""What came of a run: counted from what the requester's journal holds and from what it did about its workers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

import trio

from ctorrent.node.jobbook import load_end

from .crowd import Crowd
from .rows import Row


@dataclass(frozen=True, slots=True)
class Measured:
    """One run's figures. Overheads are executions over blocks; `wrong` and `settled` count blocks."""

    row: str
    policy: str
    seed: int
    form: str
    state: str
    blocks: int
    settled: int
    wrong: int
    disputed: int
    failed: int
    overhead: float
    steady: float
    own_runs: int
    honest: int
    quarantined: int  # honest workers that the requester expelled or distrusts at the end
    voted: int  # honest workers that it voted against, if only for a block that they got wrong
    hostile: int
    hostile_lied: int
    hostile_caught: int
    caught_after: list[int | None] = field(default_factory=list)  # of those who lied: blocks; None: never
    returns: int = 0  # new identities of those who came back
    simulated_s: float = 0.0
    took_s: float = 0.0
    extra: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


def measure(crowd: Crowd, row: Row, seed: int, state: str, took_s: float, extra: dict[str, Any]) -> Measured:
    form, journal = crowd.form, crowd.requester.journal
    ends = [load_end(journal, crowd.job, index) for index in range(form.blocks)]
    states = [end.state if end else "open" for end in ends]
    wrong = sum(1 for index, end in enumerate(ends) if end and end.state == "settled" and not crowd.truth.is_right(index, end.output))
    honest = [actor for actor in crowd.actors.values() if not actor.hostile]
    hostile = [actor for actor in crowd.actors.values() if actor.hostile]
    shut = shut_out(crowd)
    lied = [actor for actor in hostile if actor.returned_at_first_lie >= 0]
    runs, steady = crowd.truth.runs, form.steady_from
    return Measured(
        row.name, crowd.policy.name, seed, form.name, state, form.blocks, states.count("settled"), wrong,
        states.count("disputed"), states.count("failed"), sum(runs) / form.blocks, sum(runs[steady:]) / (form.blocks - steady),
        crowd.own_runs, len(honest), sum(1 for actor in honest if actor.id in shut),
        sum(1 for actor in honest if actor.id in crowd.seen.voted), len(hostile), len(lied),
        sum(1 for actor in lied if actor.caught_after is not None), [actor.caught_after for actor in lied], crowd.identities,
        simulated_s=round(trio.current_time()), took_s=round(took_s, 1), extra=extra,
    )  # fmt: skip


def shut_out(crowd: Crowd) -> set[str]:
    """Whom the requester expelled from this job for its answers, or would refuse in the next: by its own view, at the end."""
    trust = crowd.requester.node.scribe.trust
    return {*crowd.seen.expelled, *(node for node in crowd.actors if trust.held(node))}
