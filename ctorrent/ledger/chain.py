"""The state of every author's logs: heads, gaps, forks. Pure and in memory; the entries themselves lie in the journal.

    unknown ──first entry──▶ growing ──next entry──▶ growing
                               │  entry beyond a gap: parked, the gap requested from whoever sent it
                               │  second entry at one seq: fork proof
                               ▼
                            forked at seq: entries before it stay, those from it on weigh nothing, for ever;
                            the author goes on in a new log

A log is one (author, incarnation), and all its entries carry one ring, so that a ring's members hold whole chains and
never see another ring's entries. An entry of a kind this version does not know is chained like any other.
Nobody but an author can make its log fork: the proof is two of its own signatures, so the relayer is not charged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ctorrent.ledger.rules import LedgerRules
from ctorrent.ledger.summary import Line, LogKey, Summary
from ctorrent.model.entry import EntryKind, Head, SignedEntry
from ctorrent.model.ids import Digest, NodeId, Ring
from ctorrent.seal import DIGEST_BYTES

NOTHING = Digest(bytes(DIGEST_BYTES))  # the predecessor of the very first entry
SEQ_MAX = (1 << 63) - 1  # what every journal holds
INCARNATION_MAX = (1 << 32) - 1  # what the entry's field holds


@dataclass(frozen=True, slots=True)
class Accept:
    """Chained: to be stored and passed on."""

    entry: SignedEntry


@dataclass(frozen=True, slots=True)
class Parked:
    """Its predecessor is missing; nobody is charged."""

    id: Digest


@dataclass(frozen=True, slots=True)
class Request:
    """Ask `peer` (or, when None, anyone) for a range of a log, both ends included."""

    author: NodeId
    incarnation: int
    from_seq: int
    to_seq: int
    peer: NodeId | None


@dataclass(frozen=True, slots=True)
class ForkProof:
    """The author signed two entries for one place. Keep both; entries of the log from `seq` on weigh nothing.

    `held`: the id of the first; its entry is in the journal unless `held_entry` carries it.
    """

    author: NodeId
    incarnation: int
    seq: int
    held: Digest
    held_entry: SignedEntry | None
    other: SignedEntry


@dataclass(frozen=True, slots=True)
class Duplicate:
    id: Digest


@dataclass(frozen=True, slots=True)
class Ignored:
    """Neither stored nor charged: it lies behind a fork, or a limit of ours is reached."""

    id: Digest
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """No honest node would have passed this on: charge `peer` (None: it came from nobody)."""

    id: Digest
    peer: NodeId | None
    why: str


Effect = Accept | Parked | Request | ForkProof | Duplicate | Ignored | Refuse


@dataclass(slots=True)
class _Log:
    ring: Ring
    ids: bytearray = field(default_factory=bytearray)  # 32 bytes an entry: a million cost 32 MB, not 200
    fork: int = 0  # the lowest seq known to be forked; 0: none

    @property
    def size(self) -> int:
        return len(self.ids) // DIGEST_BYTES

    def id(self, seq: int) -> Digest:
        return Digest(bytes(self.ids[(seq - 1) * DIGEST_BYTES : seq * DIGEST_BYTES]))


class Chain:
    """The union of logs that this node holds."""

    def __init__(self, rules: LedgerRules | None = None) -> None:
        self.rules = rules or LedgerRules()
        self._logs: dict[LogKey, _Log] = {}
        self._by_author: dict[NodeId, list[int]] = {}
        self._parked: dict[NodeId, dict[tuple[int, int], SignedEntry]] = {}
        self._parked_total = 0
        self._summaries: dict[Ring, Summary] = {}

    # what is known ----------------------------------------------------------------------------------------------------

    def head(self, author: NodeId, incarnation: int) -> Head | None:
        """Where a log stands, before any fork. None when no entry of it is held."""
        log = self._logs.get((author, incarnation))
        return None if log is None or not log.size else Head(author, incarnation, log.size, log.id(log.size))

    def heads(self, author: NodeId) -> list[Head]:
        """All heads of one author, by incarnation."""
        found = (self.head(author, i) for i in self.incarnations(author))
        return [head for head in found if head is not None]

    def ring(self, author: NodeId, incarnation: int) -> Ring | None:
        log = self._logs.get((author, incarnation))
        return None if log is None else log.ring

    def id_at(self, author: NodeId, incarnation: int, seq: int) -> Digest | None:
        log = self._logs.get((author, incarnation))
        return log.id(seq) if log is not None and 1 <= seq <= log.size else None

    def forked_at(self, author: NodeId, incarnation: int) -> int:
        """The seq from which the log weighs nothing; 0 when it is not forked."""
        log = self._logs.get((author, incarnation))
        return 0 if log is None else log.fork

    def forks(self, author: NodeId) -> list[tuple[int, int]]:
        """(incarnation, seq) of every known fork of an author."""
        pairs = ((i, self.forked_at(author, i)) for i in self.incarnations(author))
        return [pair for pair in pairs if pair[1]]

    def incarnations(self, author: NodeId) -> list[int]:
        """Every log known of an author, forked and empty ones too, in order."""
        return sorted(self._by_author.get(author, ()))

    def authors(self) -> Iterator[NodeId]:
        return iter(self._by_author)

    def parked(self, author: NodeId) -> int:
        return len(self._parked.get(author, ()))

    def summary(self, ring: Ring) -> Summary:
        """Fingerprints over the logs of one ring."""
        return self._summaries.setdefault(ring, Summary())

    def line(self, author: NodeId, incarnation: int) -> Line | None:
        log = self._logs.get((author, incarnation))
        return None if log is None else _line((author, incarnation), log)

    # what arrives -----------------------------------------------------------------------------------------------------

    def add(self, signed: SignedEntry, peer: NodeId | None = None) -> list[Effect]:
        """Take in one entry whose signature and encoding were checked. `peer`: who sent it; None: this node itself."""
        entry = signed.entry
        log = self._logs.get((entry.author, entry.incarnation))
        why = self._impossible(signed, log)
        if why:
            return [Refuse(signed.id, peer, why)]
        if log is not None and log.fork and entry.seq >= log.fork:
            return [Ignored(signed.id, "its log forked before it")]
        size = 0 if log is None else log.size
        if log is not None and entry.seq <= size:
            held = log.id(entry.seq)
            return [Duplicate(signed.id)] if held == signed.id else self._fork(signed, held, None, peer)
        if entry.seq == size + 1 and (log is None or not size or entry.prev == log.id(size)):
            return self._grow(signed, peer)
        return self._park(signed, size, peer)

    def _impossible(self, signed: SignedEntry, log: _Log | None) -> str:
        """Why no honest author writes such an entry and no honest peer passes it on; "" when one might."""
        entry = signed.entry
        if len(signed.sealed.body) > self.rules.entry_bytes_max:
            return f"an entry of {len(signed.sealed.body)} bytes"
        if not (1 <= entry.seq <= SEQ_MAX and 0 <= entry.incarnation <= INCARNATION_MAX):
            return "a place outside any log"
        if entry.seq == 1 and entry.incarnation and entry.kind != EntryKind.INCARNATION:
            return "a new incarnation that does not begin with its opening entry"
        if entry.seq == 1 and not entry.incarnation and entry.prev != NOTHING:
            return "a very first entry with a predecessor"
        if log is not None and log.ring != entry.ring:
            return "an entry of another ring than its log"
        return ""

    def _grow(self, signed: SignedEntry, peer: NodeId | None) -> list[Effect]:
        effects: list[Effect] = []
        ready: SignedEntry | None = signed
        while ready is not None:
            entry = ready.entry
            log = self._open(entry.author, entry.incarnation, entry.ring)
            if log is None or log.size >= self.rules.entries_per_log:
                return [*effects, Ignored(ready.id, "the store for this author is full")]
            fork = self._parked_rival(ready)
            log.ids += ready.id
            effects.append(Accept(ready))
            self._touch((entry.author, entry.incarnation), log)
            if fork is not None:
                return effects + self._fork(fork, ready.id, ready, peer)
            ready = self._release(entry.author, entry.incarnation, log)
        return effects

    def _open(self, author: NodeId, incarnation: int, ring: Ring) -> _Log | None:
        log = self._logs.get((author, incarnation))
        if log is None:
            known = self._by_author.setdefault(author, [])
            if len(known) >= self.rules.logs_per_author:
                return None
            known.append(incarnation)
            log = self._logs[author, incarnation] = _Log(ring)
        return log

    def _touch(self, key: LogKey, log: _Log) -> None:
        self.summary(log.ring).update(_line(key, log))

    # forks ------------------------------------------------------------------------------------------------------------

    def _fork(
        self, other: SignedEntry, held: Digest, held_entry: SignedEntry | None, peer: NodeId | None
    ) -> list[Effect]:
        entry = other.entry
        log = self._open(entry.author, entry.incarnation, entry.ring)
        if log is None:
            return [Ignored(other.id, "the store for this author is full")]
        before = log.id(entry.seq - 1) if 1 < entry.seq <= log.size + 1 else None
        log.fork = entry.seq
        del log.ids[(entry.seq - 1) * DIGEST_BYTES :]
        waiting = self._parked.get(entry.author, {})
        self._unpark(entry.author, [p for p in waiting if p[0] == entry.incarnation and p[1] >= entry.seq])
        self._touch((entry.author, entry.incarnation), log)
        proof = ForkProof(entry.author, entry.incarnation, entry.seq, held, held_entry, other)
        if before is None or before == entry.prev:
            return [proof]
        # the branches part even earlier: look back step by step for their first difference
        first = max(1, entry.seq - self.rules.fork_window)
        return [proof, Request(entry.author, entry.incarnation, first, entry.seq - 1, peer)]

    def _parked_rival(self, signed: SignedEntry) -> SignedEntry | None:
        """Another entry for the same place that waited for its predecessor; taken out of the parking."""
        place = (signed.entry.incarnation, signed.entry.seq)
        rival = self._parked.get(signed.entry.author, {}).get(place)
        if rival is None:
            return None
        self._unpark(signed.entry.author, [place])
        return rival if rival.id != signed.id else None

    # parking ----------------------------------------------------------------------------------------------------------

    def _park(self, signed: SignedEntry, size: int, peer: NodeId | None) -> list[Effect]:
        entry = signed.entry
        place = (entry.incarnation, entry.seq)
        waiting = self._parked.get(entry.author, {})
        rival = waiting.get(place)
        if rival is not None:
            return [Duplicate(signed.id)] if rival.id == signed.id else self._fork(signed, rival.id, rival, peer)
        asked = any(incarnation == entry.incarnation for incarnation, _ in waiting)
        if len(waiting) >= self.rules.parked_per_author:
            self._unpark(entry.author, [next(iter(waiting))])
        if self._parked_total >= self.rules.parked_total:
            return [Ignored(signed.id, "too many entries wait for their predecessors")]
        self._parked.setdefault(entry.author, {})[place] = signed
        self._parked_total += 1
        beside = entry.seq == size + 1  # its predecessor is another than the one held: someone has the rival
        if asked and not beside:
            return [Parked(signed.id)]
        first = entry.seq - 1 if beside else size + 1
        last = min(entry.seq - 1, first + self.rules.request_max - 1)
        return [Parked(signed.id), Request(entry.author, entry.incarnation, first, last, peer)]

    def _release(self, author: NodeId, incarnation: int, log: _Log) -> SignedEntry | None:
        """The parked entry that now fits, taken out."""
        place = (incarnation, log.size + 1)
        waiting = self._parked.get(author, {}).get(place)
        if waiting is None or waiting.entry.prev != log.id(log.size) or waiting.entry.ring != log.ring:
            return None
        self._unpark(author, [place])
        return waiting

    def _unpark(self, author: NodeId, places: list[tuple[int, int]]) -> None:
        waiting = self._parked.get(author, {})
        for place in places:
            del waiting[place]
            self._parked_total -= 1
        if not waiting:
            self._parked.pop(author, None)


def _line(key: LogKey, log: _Log) -> Line:
    return Line(key[0], key[1], log.size, log.id(log.size) if log.size else NOTHING, log.fork)
