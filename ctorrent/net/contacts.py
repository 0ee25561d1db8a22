"""The book of known peers, and the news about it."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from weakref import WeakSet

import trio

from ctorrent.model.ids import NodeId
from ctorrent.net.rules import DirectoryRules
from ctorrent.ports import Contact

_SMOOTHING = 0.3  # of a new bandwidth figure against the old: three transfers say most of it


class Changes(AsyncIterator[Contact]):
    """What happens from the moment this is made; one that lags too far misses the newest. Needs no closing."""

    def __init__(self, limit: int, view: Callable[[Contact], Contact]) -> None:
        self._limit = limit
        self._view = view
        self._waiting: deque[Contact] = deque()
        self._news = trio.Event()

    def put(self, contact: Contact) -> None:
        if len(self._waiting) < self._limit:
            self._waiting.append(contact)
            self._news.set()

    async def __anext__(self) -> Contact:
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._waiting:
            self._news = trio.Event()
            await self._news.wait()
        return self._view(self._waiting.popleft())


class Contacts:
    def __init__(self, rules: DirectoryRules) -> None:
        self._rules = rules
        self._book: dict[NodeId, Contact] = {}
        self._listeners: WeakSet[Changes] = WeakSet()

    def get(self, peer: NodeId) -> Contact | None:
        return self._book.get(peer)

    def all(self) -> list[Contact]:
        """Connected first, then by id."""
        return sorted(self._book.values(), key=lambda contact: (not contact.connected, contact.node))

    def heard(self, peer: NodeId, addresses: tuple[str, ...], how: str) -> Contact:
        """Someone said that the peer may be there. New addresses go first; how this node first found it stays."""
        old = self._book.get(peer) or Contact(peer, (), how, False)
        if old.how == "inbound" or (old.how, how) == ("last time", "mdns"):  # then it found us, now we found it too; or it is nearby now
            old = replace(old, how=how)
        merged = tuple(dict.fromkeys(addresses + old.addresses))[: self._rules.addresses_per_contact]
        return self._keep(replace(old, addresses=merged))

    def connected(self, peer: NodeId, how: str, addresses: tuple[str, ...], seen_at: str = "") -> None:
        old = self._book.get(peer)
        contact = self._keep(replace(self.heard(peer, addresses, how), seen_at=seen_at))
        if old is None or not old.connected:
            self._tell(self._keep(replace(contact, connected=True)))

    def disconnected(self, peer: NodeId) -> None:
        old = self._book.get(peer)
        if old is not None and old.connected:
            self._tell(self._keep(replace(old, connected=False)))

    def identified(self, peer: NodeId, agent: str, addresses: tuple[str, ...]) -> None:
        """The peer said what it is and where it listens."""
        old = self._book.get(peer)
        if old is not None:
            merged = tuple(dict.fromkeys(addresses + old.addresses))[: self._rules.addresses_per_contact]
            self._tell(self._keep(replace(old, agent=agent, addresses=merged)))

    def measured(self, peer: NodeId, bytes_s: float) -> None:
        old = self._book.get(peer)
        if old is not None:
            known = old.bandwidth_bytes_s
            figure = bytes_s if known is None else known + _SMOOTHING * (bytes_s - known)
            self._keep(replace(old, bandwidth_bytes_s=figure))

    def changes(self, view: Callable[[Contact], Contact]) -> Changes:
        listener = Changes(self._rules.changes, view)
        self._listeners.add(listener)
        return listener

    def _tell(self, contact: Contact) -> None:
        for listener in tuple(self._listeners):
            listener.put(contact)

    def _keep(self, contact: Contact) -> Contact:
        self._book.pop(contact.node, None)
        self._book[contact.node] = contact  # most recent last
        if len(self._book) > self._rules.contacts:
            old = next((node for node, one in self._book.items() if not one.connected), None)
            if old is not None:
                del self._book[old]
        return contact
