"""Colluders who change their answers when asked again, to make it look as if the program wavered; and one that does."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ctorrent.model.ids import Digest, NodeId
from ctorrent.model.job import Assurance, Verify
from ctorrent.verify import words as q
from ctorrent.verify.audit import rules_for
from ctorrent.verify.jury import Jury

from .jurors import ME, of
from .test_quorum import came, out

BLOCKS = 600


def told(seed: int, workers: int, colluders: int, assurance: Assurance, wavering: float = 0.0) -> list[Any]:
    """One job. Who answers second to a colluder's block lies if it is one too; asked again, both say something else.

    wavering: of the program, the requester's own runs included. -> what the jury said about the program.
    """
    dice = random.Random(seed)
    policy = Verify(replicas=2, assurance=assurance)
    jury = Jury(policy, rules_for(policy), seed.to_bytes(32, "big"), ME)
    names = [NodeId(f"w{number}") for number in range(workers)]
    bad = set(names[:colluders])
    ran: dict[int, list[NodeId]] = {index: [] for index in range(BLOCKS)}
    todo: list[tuple[str, int, NodeId]] = [("new", index, ME) for index in range(BLOCKS)]
    said: list[Any] = []

    def run(other: bool = False) -> bytes:
        return out(dice.random() if other or dice.random() < wavering else 1)

    for name in names:
        jury.handle(q.Known(name, f"own_{name}", 0))
    jury.handle(q.Total(BLOCKS, True))
    while todo:
        kind, index, name = todo.pop(0)
        if kind == "own":
            event: q.Event = q.SelfChecked(index, ME, "own_me", Digest(b"f"), (run(), run()))
        else:
            if kind == "new":
                name = dice.choice([one for one in names if one not in ran[index]])
                ran[index].append(name)
            friends = sum(one in bad for one in ran[index])
            event = came(name, run(name in bad and friends > 1), index)
        for effect in jury.handle(event):
            match effect:
                case q.NextOwner(indices=indices):
                    todo[0:0] = [("new", one, ME) for one in indices]
                case q.NeedReplicas(index=one):
                    todo.insert(0, ("new", one, ME))
                case q.Rerun(index=one, workers=asked):
                    todo[0:0] = [("again", one, worker) for worker in asked]
                case q.SelfCheck(index=one):
                    todo.insert(min(3, len(todo)), ("own", one, ME))
                case q.CoalesceOff() | q.JobNondeterministic():
                    said.append(effect)
        if of(said, q.JobNondeterministic):
            break
    return said


@pytest.mark.parametrize("assurance", list(Assurance))
@pytest.mark.parametrize(("workers", "colluders"), [(20, 3), (40, 8)])
def test_colluders_who_change_their_answers_do_not_pause_a_job(workers: int, colluders: int, assurance: Assurance) -> None:
    for seed in range(4):
        assert told(seed, workers, colluders, assurance) == []


@pytest.mark.parametrize("assurance", list(Assurance))
@pytest.mark.parametrize("wavering", [0.1, 0.5])
def test_a_program_that_wavers_is_found_out_all_the_same(wavering: float, assurance: Assurance) -> None:
    for seed in range(4):
        assert of(told(seed, 20, 3, assurance, wavering), q.JobNondeterministic)
