"""The rows of the matrix: who is hostile, and how."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .attackers import Conduct, Coordinated, Copier, Liar, Vanisher, Whitewasher
from .collusion import Plot
from .crowd import Crowd
from .ledgers import Eclipse, Forks, Spam, Stage, Talk, both, praise, slander

Fill = Callable[[Crowd, int], None]  # bring so many hostile machines
SHARE = 0.3  # of blocks that partial liars lie about


@dataclass(frozen=True, slots=True)
class Row:
    """kind: which targets hold; "plain", "sleeper", "coordinated", "coordinated-rare", "whitewasher", "wavering"."""

    name: str
    words: str
    fill: Fill
    kind: str = "plain"
    leaks: bool = False  # the coordinator shows a copier what others answered
    wavering: float = 0.0  # of the program
    stage: Callable[[], Stage] = Stage


def each(make: Callable[[Crowd], Conduct]) -> Fill:
    """Every hostile machine has an owner and a network of its own, and a conduct of its own."""

    def fill(crowd: Crowd, count: int) -> None:
        for _ in range(count):
            crowd.enter(make(crowd))

    return fill


def plotting(share: float) -> Fill:
    def fill(crowd: Crowd, count: int) -> None:
        plot = Plot(crowd.simulation.dice("plot"), at_once=not crowd.policy.ours)
        for _ in range(count):
            crowd.enter(Coordinated(plot, share))

    return fill


def pairs(crowd: Crowd, count: int) -> None:
    """Two keys an owner: half of the owners certify both, the others show no certificate and sit in one network."""
    for number in range(count // 2):
        lie = Liar(SHARE, own=False)
        named = number % 2 == 0
        owner = f"{crowd.simulation.seed} pair {number}"
        for _ in range(2):
            crowd.enter(lie, owner=owner if named else "", network=None if named else 5000 + number, certified=named)


def sleeper(crowd: Crowd) -> Conduct:
    """Honest until the policy trusts it; where none does, for as long as BOINC would take and a bit."""
    return Liar(SHARE, patience=max(15, crowd.policy.trusts_after) + 5)


LIARS = each(lambda _: Liar(SHARE))

ROWS = {
    row.name: row
    for row in (
        Row("always-wrong", "wrong in every block, all the same way", each(lambda _: Liar(1.0))),
        Row("wrong-30", "wrong in 30 % of blocks, each in its own 30 %", LIARS),
        Row("recanting", "wrong in 30 %; asked for a block again, it tells the truth", each(lambda _: Liar(SHARE, recants=True))),
        Row("sleeper", "honest until trusted, then wrong in 30 %", each(sleeper), "sleeper"),
        Row("colluding", "all lie in the same 30 % of blocks, the same way", each(lambda _: Liar(SHARE, together=True))),
        Row("coordinated", "lie only where they hold a deciding majority, always", plotting(1.0), "coordinated"),
        Row("coordinated-10", "the same, in 1 of 10 chances", plotting(0.1), "coordinated-rare"),
        Row("whitewasher", "wrong in 30 %, and back under a new identity after each ban", each(lambda _: Whitewasher(SHARE)), "whitewasher"),
        Row("copier", "a leaky coordinator shows it others' answers; else it makes one up", each(lambda _: Copier()), leaks=True),
        Row("two-keys", "pairs of keys of one owner, or of one network, lie in 30 %", pairs),
        Row("bid-and-vanish", "takes work and returns none", each(lambda _: Vanisher())),
        Row("sybil-ring", "wrong in 30 %, and a ledger full of praise for each other", LIARS, stage=lambda: Talk(praise)),
        Row("lying-requester", "wrong in 30 %, and votes against honest workers, of jobs that never were", LIARS, stage=lambda: Talk(slander)),
        Row("log-forker", "wrong in 30 %, and logs that say one thing here and another there", LIARS, stage=lambda: Forks(praise)),
        Row("spammer", "wrong in 30 %, and a flood of questions and announcements", LIARS, stage=Spam),
        Row("eclipse", "wrong in 30 %, and one node that meets only them", LIARS, stage=lambda: Eclipse(both)),
        Row("nondeterministic", "the program itself wavers in 5 % of runs; hostile workers lie in 30 %", LIARS, "wavering", wavering=0.05),
    )
}
