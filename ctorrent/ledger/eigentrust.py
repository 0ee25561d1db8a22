"""How far the word of a few reaches: trust flows from this node and its friends along verified work.

    t = p + damping · Cᵀ t,   C[i, j] = blocks that i found right of j / (all of i's + hesitation)

t is EigenTrust's vector with the pre-trusted set p, scaled so that this node's own word is 1 and not the sum: a friend
does not become less because there are more of them. What no path from p reaches has exactly 0: a thousand identities
that praise each other weigh nothing, and what leaks to a ring that worked for somebody is at most damping / (1 −
damping) of that somebody's share, however many they are. All nodes of an owner are one.
Source: Kamvar, Schlosser, Garcia-Molina, "The EigenTrust Algorithm", WWW 2003.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ctorrent.ledger.trust_rules import TrustRules
from ctorrent.model.ids import NodeId


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a path of trust: `owner`, and the trust that comes to it along this path alone."""

    owner: str
    trust: float


class EigenTrust:
    """Edges giver → worker between nodes, and the trust of their owners. Grows only with `edge`; the caller bounds it."""

    def __init__(self, rules: TrustRules | None = None) -> None:
        self._rules = rules or TrustRules()
        self._numbers: dict[NodeId, int] = {}
        self._places: dict[tuple[int, int], int] = {}
        self._free: list[int] = []
        self._givers, self._workers, self._blocks = array("q"), array("q"), array("d")
        self._solved: _Solved | None = None
        self.stale = 0  # edges that changed since the last solve

    def __len__(self) -> int:
        return len(self._places)

    def edge(self, giver: NodeId, worker: NodeId, right: float, wrong: float) -> None:
        """What `giver` found of `worker` in all, in blocks. Nothing right: no edge."""
        value = min(self._rules.edge_blocks_max, right - self._rules.wrong_weight * wrong)
        key = (self._number(giver), self._number(worker))
        place = self._places.get(key)
        if place is None:
            if value <= 0:
                return
            place = self._places[key] = self._place()
            self._givers[place], self._workers[place] = key
        self._blocks[place] = max(0.0, value)
        self.stale += 1

    def drop(self, giver: NodeId, worker: NodeId) -> None:
        """Forget an edge."""
        place = self._places.pop((self._number(giver), self._number(worker)), None)
        if place is not None:
            self._blocks[place] = 0.0
            self._free.append(place)
            self.stale += 1

    def solve(
        self, roots: Mapping[str, float], owner_of: Callable[[NodeId], str], barred: Collection[str] = ()
    ) -> dict[str, float]:
        """Trust by owner; those with none are left out. Ten thousand authors and 100,000 edges take 10 ms.

        roots: the pre-trusted, 0..1. barred: owners to whom no trust comes, nor goes on from them.
        """
        self._trim_numbers()
        owners: dict[str, int] = {}
        for root in sorted(roots):
            owners.setdefault(root, len(owners))
        of = np.fromiter((owners.setdefault(owner_of(node), len(owners)) for node in self._numbers), np.int64, len(self._numbers))
        used = np.frombuffer(self._blocks) > 0 if self._blocks else np.zeros(0, bool)
        givers = of[np.frombuffer(self._givers, np.int64)[used]] if self._givers else np.zeros(0, np.int64)
        workers = of[np.frombuffer(self._workers, np.int64)[used]] if self._workers else np.zeros(0, np.int64)
        blocks = np.frombuffer(self._blocks)[used] if self._blocks else np.zeros(0)
        shut = np.zeros(len(owners), bool)
        shut[[owners[owner] for owner in barred if owner in owners]] = True
        between = (givers != workers) & ~shut[workers]  # nobody vouches for itself, nor for its own other nodes
        givers, workers, blocks = givers[between], workers[between], blocks[between]
        sums = np.bincount(givers, blocks, len(owners)) + self._rules.hesitation_blocks
        shares = blocks / sums[givers]
        p = np.zeros(len(owners))
        for root in roots:
            p[owners[root]] = 0.0 if shut[owners[root]] else roots[root]
        t = self._iterate(p, givers, workers, shares)
        self._solved = _Solved(tuple(owners), owners, p, t, givers, workers, shares)
        self.stale = 0
        return {owner: float(t[number]) for owner, number in owners.items() if t[number] > 0}

    def workers_of(self, giver: str) -> frozenset[str]:
        """Owners whose work `giver` itself found right, as of the last solve."""
        solved = self._solved
        number = None if solved is None else solved.number.get(giver)
        if solved is None or number is None:
            return frozenset()
        return frozenset(solved.owners[worker] for worker in solved.workers[solved.givers == number].tolist())

    def path(self, owner: str) -> list[Step]:
        """From a pre-trusted owner to this one along the strongest flow, as of the last solve; [] when none reaches it."""
        solved = self._solved
        number = None if solved is None else solved.number.get(owner)
        if solved is None or number is None or not solved.trust[number] > 0:
            return []
        steps: list[Step] = []
        seen: set[int] = set()  # asked for membership only, never iterated
        while number not in seen:
            seen.add(number)
            flows = self._rules.damping * solved.trust[solved.givers] * solved.shares * (solved.workers == number)
            best = int(np.argmax(flows)) if len(flows) else -1
            inward = float(flows[best]) if best >= 0 else 0.0
            root = float(solved.roots[number])
            steps.append(Step(solved.owners[number], max(root, inward)))
            if root >= inward:
                return steps[::-1]
            number = int(solved.givers[best])
        return steps[::-1]

    def _iterate(
        self, p: NDArray[np.float64], givers: NDArray[np.int64], workers: NDArray[np.int64], shares: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        t = p.copy()
        for _ in range(self._rules.rounds_max):
            fresh = p + self._rules.damping * np.bincount(workers, t[givers] * shares, len(p))
            done = float(np.max(np.abs(fresh - t), initial=0.0)) < self._rules.settled
            t = fresh
            if done:
                break
        return t

    def _number(self, node: NodeId) -> int:
        return self._numbers.setdefault(node, len(self._numbers))

    def _place(self) -> int:
        if self._free:
            return self._free.pop()
        self._givers.append(0)
        self._workers.append(0)
        self._blocks.append(0.0)
        return len(self._blocks) - 1

    def _trim_numbers(self) -> None:
        """Nodes that no edge names any more are forgotten once they are the most."""
        if len(self._numbers) < 1024 or len(self._numbers) < 4 * len(self._places):
            return
        nodes = list(self._numbers)
        old = [(nodes[g], nodes[w], self._blocks[place]) for (g, w), place in self._places.items()]
        self._numbers, self._places, self._free = {}, {}, []
        self._givers, self._workers, self._blocks = array("q"), array("q"), array("d")
        for giver, worker, blocks in old:
            key = (self._number(giver), self._number(worker))
            place = self._places[key] = self._place()
            self._givers[place], self._workers[place], self._blocks[place] = *key, blocks


@dataclass(frozen=True, slots=True)
class _Solved:
    owners: tuple[str, ...]
    number: Mapping[str, int]
    roots: NDArray[np.float64]
    trust: NDArray[np.float64]
    givers: NDArray[np.int64]
    workers: NDArray[np.int64]
    shares: NDArray[np.float64]
