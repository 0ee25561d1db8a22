"""Whose turn it is to be asked: one question of a peer at a time, of a few peers at once.

A peer that lets every question run into its time limit holds one place, and waits behind those it kept waiting.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

from ctorrent.model.ids import NodeId

T = TypeVar("T")


class Turns(Generic[T]):
    """at_once: peers. kept: peers whose last turn is remembered; who is forgotten counts as never asked."""

    def __init__(self, at_once: int, kept: int = 4096) -> None:
        self._at_once, self._kept = at_once, kept
        self._busy: set[NodeId] = set()
        self._last: dict[NodeId, int] = {}  # number of its last turn; the longest ago first
        self._made = 0

    def take(self, due: Iterable[tuple[NodeId, float, T]]) -> list[T]:
        """Of these (peer, how much it matters, question), those to `put` now.

        Of each peer its first one; peers that matter most before others, and among equals those asked longest ago.
        """
        first: dict[NodeId, tuple[float, T]] = {}
        for peer, matters, question in due:
            if peer not in self._busy:
                first.setdefault(peer, (matters, question))
        peers = sorted(first, key=lambda peer: (-first[peer][0], self._last.get(peer, 0), peer))
        taken = peers[: self._at_once - len(self._busy)]
        for peer in taken:
            self._busy.add(peer)
            self._made += 1
            self._last.pop(peer, None)
            self._last[peer] = self._made
        while len(self._last) > self._kept:
            del self._last[next(iter(self._last))]
        return [first[peer][1] for peer in taken]

    async def put(self, peer: NodeId, ask: Callable[[T], Awaitable[None]], question: T) -> None:
        """One that was taken; then its peer's turn is over."""
        try:
            await ask(question)
        finally:
            self.done(peer)

    def done(self, peer: NodeId) -> None:
        """Its turn is over."""
        self._busy.discard(peer)
