"""Who said what of whom: the tallies this node holds, by worker and author, faded by number and bounded in memory.

Later tallies of one author on one worker make its earlier ones fade, by number, not by time: an absence neither heals
nor harms. When room runs out, what authors outside all trust said goes first, unheard of longest first; then others'.
This node's own are never given up for anybody else's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from ctorrent.ledger.tally import Counts
from ctorrent.ledger.trust_rules import ReputationRules
from ctorrent.model.ids import Digest, NodeId


@dataclass(frozen=True, slots=True)
class Heard:
    """One tally, or the sums that a checkpoint gives for many (`summed`). `id`: of the entry that holds it."""

    incarnation: int
    seq: int
    id: Digest
    counts: Counts
    summed: bool = False


@dataclass(slots=True)
class Pair:
    """All that one author said of one worker. right, wrong: faded blocks; shown: of `wrong`, those whose evidence was seen."""

    heard: list[Heard] = field(default_factory=list)  # oldest first
    right: float = 0.0
    wrong: float = 0.0
    shown: float = 0.0


class Testimonies:
    """`dropped(author, worker)` is called when a pair is given up or changed by anything but `add`."""

    def __init__(self, me: NodeId, rules: ReputationRules, dropped: Callable[[NodeId, NodeId], None]) -> None:
        self._me, self._rules, self._dropped = me, rules, dropped
        self._by_worker: dict[NodeId, dict[NodeId, Pair]] = {}
        self._by_author: dict[NodeId, dict[NodeId, None]] = {}  # workers, longest unheard of first
        self._places: dict[Digest, tuple[NodeId, NodeId]] = {}
        self._shown: dict[Digest, None] = {}  # tallies whose evidence was seen here
        self._valued: frozenset[NodeId] = frozenset()
        self._ranks: tuple[dict[tuple[NodeId, NodeId], None], ...] = ({}, {}, {})  # strangers', the valued, own: oldest first
        self._total = 0

    def __len__(self) -> int:
        """Tallies held."""
        return self._total

    def about(self, worker: NodeId) -> dict[NodeId, Pair]:
        """By author. Not to be changed."""
        return self._by_worker.get(worker, {})

    def pair(self, author: NodeId, worker: NodeId) -> Pair | None:
        return self._by_worker.get(worker, {}).get(author)

    def workers(self) -> Iterator[NodeId]:
        return iter(self._by_worker)

    def of(self, author: NodeId) -> Collection[NodeId]:
        """The workers that an author spoke of."""
        return self._by_author.get(author, {}).keys()

    def value(self, authors: frozenset[NodeId]) -> None:
        """Whose words weigh something now: they are kept longer than strangers'."""
        for author in sorted(self._valued ^ authors):
            new, old = (self._ranks[1], self._ranks[0]) if author in authors else (self._ranks[0], self._ranks[1])
            for worker in self._by_author.get(author, {}):
                if old.pop((author, worker), 0) is None:
                    new[author, worker] = None
        self._valued = authors

    def add(self, author: NodeId, worker: NodeId, said: Heard) -> Pair:
        """The newest word of an author on a worker."""
        by_author = self._by_worker.setdefault(worker, {})
        pair = by_author.get(author)
        if pair is None:
            pair = by_author[author] = Pair()
        decay, most = self._rules.decay, self._rules.testimonies_max
        pair.heard.append(said)
        pair.right = pair.right * decay + said.counts.agreed
        pair.wrong = pair.wrong * decay + _wrong(said)
        pair.shown = pair.shown * decay + (_wrong(said) if self.was_shown(said.id) else 0)
        self._total += 1
        self._places[said.id] = (author, worker)
        if len(pair.heard) > most:
            faded = pair.heard.pop(0)
            pair.right -= faded.counts.agreed * decay**most
            pair.wrong -= _wrong(faded) * decay**most
            pair.shown -= (_wrong(faded) if self.was_shown(faded.id) else 0) * decay**most
            self._places.pop(faded.id, None)
            self._total -= 1
        self._touch(author, worker)
        self._bound(author, worker)
        return pair

    def cut(self, author: NodeId, incarnation: int, seq: int) -> None:
        """A log forked: what its author said in it from `seq` on is forgotten."""
        for worker in list(self._by_author.get(author, ())):
            self._keep(author, worker, lambda h: h.incarnation != incarnation or h.seq < seq)

    def show(self, entry: Digest) -> None:
        """The evidence behind one tally was seen, before or after the tally itself was heard."""
        self._shown.pop(entry, None)
        self._shown[entry] = None
        while len(self._shown) > self._rules.unfounded_max:
            del self._shown[next(iter(self._shown))]
        if (place := self._places.get(entry)) is not None:
            self._add_up(self._by_worker[place[1]][place[0]])
            self._dropped(*place)

    def was_shown(self, entry: Digest) -> bool:
        return entry in self._shown

    def _add_up(self, pair: Pair) -> None:
        """Its sums from its tallies."""
        pair.right = pair.wrong = pair.shown = 0.0
        for age, said in enumerate(reversed(pair.heard)):
            fade = self._rules.decay**age
            pair.right += fade * said.counts.agreed
            pair.wrong += fade * _wrong(said)
            pair.shown += fade * _wrong(said) if self.was_shown(said.id) else 0.0

    def forget(self, entry: Digest) -> None:
        """One entry counts no longer."""
        place = self._places.get(entry)
        if place is not None:
            self._keep(*place, lambda h: h.id != entry)

    def _keep(self, author: NodeId, worker: NodeId, good: Callable[[Heard], bool]) -> None:
        pair = self._by_worker[worker][author]
        kept = [h for h in pair.heard if good(h)]
        if len(kept) == len(pair.heard):
            return
        for gone in (h for h in pair.heard if not good(h)):
            self._places.pop(gone.id, None)
        self._total -= len(pair.heard) - len(kept)
        pair.heard[:] = kept
        self._add_up(pair)
        if not kept:
            self._drop(author, worker)
        else:
            self._dropped(author, worker)

    def _is_stranger(self, author: NodeId) -> bool:
        return author != self._me and author not in self._valued

    def _rank(self, author: NodeId) -> dict[tuple[NodeId, NodeId], None]:
        return self._ranks[2 if author == self._me else 1 if author in self._valued else 0]

    def _touch(self, author: NodeId, worker: NodeId) -> None:
        """Most recent last."""
        rank, workers = self._rank(author), self._by_author.setdefault(author, {})
        rank.pop((author, worker), None)
        rank[author, worker] = None
        workers.pop(worker, None)
        workers[worker] = None

    def _bound(self, author: NodeId, worker: NodeId) -> None:
        rules = self._rules
        if self._is_stranger(author):
            if len(self._by_author[author]) > rules.pairs_stranger:
                self._drop(author, next(iter(self._by_author[author])))
            strangers = [one for one in self._by_worker[worker] if self._is_stranger(one)]
            if len(strangers) > rules.authors_stranger:
                self._drop(strangers[0], worker)
        while (
            self._total > rules.testimonies_total
            or sum(map(len, self._ranks)) > rules.pairs_max
            or len(self._by_worker) > rules.workers_max
        ):
            rank = next(rank for rank in self._ranks if rank)
            self._drop(*next(iter(rank)))

    def _drop(self, author: NodeId, worker: NodeId) -> None:
        pair = self._by_worker[worker].pop(author)
        for said in pair.heard:
            self._places.pop(said.id, None)
        self._total -= len(pair.heard)
        self._rank(author).pop((author, worker), None)
        del self._by_author[author][worker]
        if not self._by_author[author]:
            del self._by_author[author]
        if not self._by_worker[worker]:
            del self._by_worker[worker]
        self._dropped(author, worker)


def _wrong(said: Heard) -> int:
    return said.counts.disputed + said.counts.invalid
