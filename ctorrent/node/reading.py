"""What a start takes in of the stored ledger: this node's own logs at once, the others' beside its work.

    few entries     all of them before the node does anything
    many            own logs, then the node serves; the others in slices, by author. Until then nobody else's entries are
                    taken in (an entry that is stored already must not be taken for news): the first meeting brings them

A million entries take a minute or two of one core; nothing waits for them but meetings, imports, and what others say
of others. What was proven against whom, and this node's own accounts, lie in the journal by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ctorrent.model.ids import NodeId, node_public
from ctorrent.ports import Journal

AT_ONCE = 4096  # entries that a start waits for: half a second
SLICE = 64  # entries between two turns of whoever else has something to do: 10 ms
KEY_STEPS = 1 << 16


class Reading:
    """Of one journal. take: called with each stored entry, in each log's order."""

    def __init__(self, journal: Journal, own: NodeId, take: Callable[[bytes, bytes], None], at_once: int = AT_ONCE) -> None:
        self._journal, self._own, self._take, self._at_once = journal, node_public(own), take, at_once
        self._key = b""
        self.whole = False

    @property
    def share(self) -> float:
        """How much is read, 0..1: authors are keys, and keys lie evenly."""
        return 1.0 if self.whole else int.from_bytes(self._key[:2].ljust(2, b"\0"), "big") / KEY_STEPS

    def begin(self) -> None:
        """All, where that is little; else this node's own logs."""
        rows = self._journal.scan("entry", limit=self._at_once + 1)
        self.whole = len(rows) <= self._at_once
        if self.whole:
            for key, value in rows:
                self._take(key, value)
            return
        after = b""
        while rows := self._journal.scan("entry", self._own, SLICE, after):
            after = rows[-1][0]
            for key, value in rows:
                self._take(key, value)

    async def go_on(self) -> None:
        """The rest. Raises JournalError for a record that is not as it was written."""
        while not self.whole:
            rows = self._journal.scan("entry", limit=SLICE, after=self._key)
            for key, value in rows:
                if not key.startswith(self._own):
                    self._take(key, value)
            self._key = rows[-1][0] if rows else self._key
            self.whole = not rows
            await trio.lowlevel.checkpoint()
