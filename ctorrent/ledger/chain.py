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

Behind a checkpoint of its author a log may be cut (checkpoint.py): then it begins there, for whoever cut it and for
whoever never saw the rest, and the author's earlier logs of that ring are gone altogether. What was proven stays proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ctorrent.ledger.checkpoint import fits
from ctorrent.ledger.rules import LedgerRules
from ctorrent.ledger.summary import Line, LogKey, Summary
from ctorrent.model.entry import Checkpoint, Entry, EntryKind, Head, SignedEntry
from ctorrent.model.ids import Digest, NodeId, Ring
from ctorrent.seal import DIGEST_BYTES

NOTHING = Digest(bytes(DIGEST_BYTES))  # the predecessor of the very first entry
SEQ_MAX = (1 << 32) - 1  # what a journal's key holds; at a hundred entries a second it takes a year
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


@dataclass(frozen=True, slots=True)
class Whole:
    """A checkpoint is complete: `parts` entries after `head`. Check it, then `settle` it or leave it be."""

    ring: Ring
    head: Head
    parts: int


@dataclass(frozen=True, slots=True)
class Cut:
    """What lies behind `head`, whose checkpoint has `parts` entries, may be forgotten: its own log's entries up to its
    seq, and the author's earlier `logs` of that ring. The chain knows them no more.

    entries: how many those logs had. unheard: nothing of all that was ever held here, so its sums are news.
    """

    ring: Ring
    head: Head
    parts: int
    logs: tuple[int, ...]
    entries: int = 0
    unheard: bool = False


Effect = Accept | Parked | Request | ForkProof | Duplicate | Ignored | Refuse | Whole | Cut

Reader = Callable[[Entry], Checkpoint | None]  # what a CHECKPOINT says; None for one that says nothing


@dataclass(slots=True)
class _Log:
    ring: Ring
    ids: bytearray = field(default_factory=bytearray)  # 32 bytes an entry: a million cost 32 MB, not 200
    fork: int = 0  # the lowest seq known to be forked; 0: none
    base: int = 0  # entries up to here were cut off; the checkpoint after them names the last one's id
    base_id: Digest = NOTHING
    parts: int = 0  # of the checkpoint that is coming in: how many came
    begun: bool = False  # at its cut: what lies behind was never held here

    @property
    def size(self) -> int:
        return self.base + len(self.ids) // DIGEST_BYTES

    def id(self, seq: int) -> Digest:
        """Of an entry from `base` on."""
        at = (seq - self.base - 1) * DIGEST_BYTES
        return Digest(bytes(self.ids[at : at + DIGEST_BYTES])) if seq > self.base else self.base_id

    def keep(self, last: int) -> None:
        """Forget the ids after `last`."""
        del self.ids[max(0, last - self.base) * DIGEST_BYTES :]
        if last <= self.base:  # the checkpoint after the cut goes too
            self.base, self.base_id = 0, NOTHING

    def cut(self, head: Head) -> None:
        """Forget the ids up to `head`."""
        del self.ids[: (head.seq - self.base) * DIGEST_BYTES]
        self.base, self.base_id = head.seq, head.id


@dataclass(slots=True)
class _Marks:
    """Of one author in one ring: its two newest complete checkpoints, and how many entries each has."""

    last: tuple[Head, int] | None = None
    floor: tuple[Head, int] | None = None


class Chain:
    """The union of logs that this node holds."""

    def __init__(self, rules: LedgerRules | None = None, read: Reader | None = None) -> None:
        self.rules = rules or LedgerRules()
        self._read: Reader = read or (lambda entry: None)
        self._marks: dict[tuple[NodeId, Ring], _Marks] = {}
        self._strays: dict[tuple[NodeId, int, int], SignedEntry] = {}
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
        return log.id(seq) if log is not None and max(1, log.base) <= seq <= log.size else None

    def forked_at(self, author: NodeId, incarnation: int) -> int:
        """The seq from which the log weighs nothing; 0 when it is not forked."""
        log = self._logs.get((author, incarnation))
        return 0 if log is None else log.fork

    def incarnations(self, author: NodeId) -> list[int]:
        """Every log known of an author, forked and empty ones too, in order."""
        return sorted(self._by_author.get(author, ()))

    def floor(self, author: NodeId, ring: Ring) -> Head | None:
        """The head behind which an author's logs of a ring are cut; None where they are whole."""
        marks = self._marks.get((author, ring))
        return marks.floor[0] if marks is not None and marks.floor is not None else None

    def unsummed(self, author: NodeId, ring: Ring) -> tuple[int, int]:
        """Entries of an author in a ring since its last checkpoint there, and logs that it began since."""
        marks = self._marks.get((author, ring), _Marks())
        last = Head(author, -1, 0, NOTHING) if marks.last is None else marks.last[0]
        heads = [h for h in self.heads(author) if h.incarnation >= last.incarnation and self.ring(author, h.incarnation) == ring]
        entries = sum(h.seq - (last.seq if h.incarnation == last.incarnation else 0) for h in heads)
        return entries, sum(h.incarnation > last.incarnation for h in heads)

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

    def add(self, signed: SignedEntry, peer: NodeId | None = None, begins: bool = False) -> list[Effect]:
        """Take in one entry whose signature and encoding were checked. `peer`: who sent it; None: this node itself.

        begins: what lies before it is not to be had here, so a checkpoint may be where its log begins.
        """
        entry = signed.entry
        log = self._logs.get((entry.author, entry.incarnation))
        why = self._impossible(signed, log)
        if why:
            return [Refuse(signed.id, peer, why)]
        if log is not None and log.fork and entry.seq >= log.fork:
            return [Ignored(signed.id, "its log forked before it")]
        floor = self.floor(entry.author, entry.ring)
        if floor is not None and entry.incarnation < floor.incarnation:
            return [Ignored(signed.id, "a later checkpoint of its author stands for it")]
        size = 0 if log is None else log.size
        if log is not None and entry.seq <= log.base and signed.id != log.id(log.base):
            return self._stray(signed, peer)
        if begins and entry.seq > size + 1 and entry.kind == EntryKind.CHECKPOINT:
            return self._begin(signed, size, peer)
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
            if log is None or len(log.ids) >= self.rules.entries_per_log * DIGEST_BYTES:
                return [*effects, Ignored(ready.id, "the store for this author is full")]
            fork = self._parked_rival(ready)
            log.ids += ready.id
            effects.append(Accept(ready))
            self._touch((entry.author, entry.incarnation), log)
            if entry.kind == EntryKind.CHECKPOINT:
                effects += self._summed_up(entry, log)
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
        before = log.id(entry.seq - 1) if log.base < entry.seq - 1 <= log.size else None
        log.fork = entry.seq
        log.keep(entry.seq - 1)
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

    # checkpoints ------------------------------------------------------------------------------------------------------

    def settle(self, whole: Whole) -> list[Effect]:
        """A complete checkpoint is right: cut behind the one before it, or behind itself where nothing before is held."""
        head = whole.head
        marks = self._marks.setdefault((head.author, whole.ring), _Marks())
        found = sorted({(head, whole.parts), *filter(None, (marks.last, marks.floor))}, key=lambda mark: _place(mark[0]))
        marks.last = found[-1]
        log = self._logs.get((head.author, head.incarnation))
        begun = log is not None and log.base == head.seq
        floor = (head, whole.parts) if begun else found[-2] if len(found) > 1 else None
        if floor is None or (marks.floor is not None and _place(floor[0]) < _place(marks.floor[0])) or (floor == marks.floor and not begun):
            return []
        marks.floor = floor
        return [self._cut(whole.ring, *floor, begun)]

    def _cut(self, ring: Ring, head: Head, parts: int, begun: bool) -> Cut:
        older = [i for i in self.incarnations(head.author) if i < head.incarnation and self.ring(head.author, i) == ring]
        entries = sum(self._logs[head.author, incarnation].size for incarnation in older)
        for incarnation in older:
            self._drop(head.author, incarnation, ring)
        log = self._logs.get((head.author, head.incarnation))
        if log is not None and log.base < head.seq <= log.size:
            log.cut(head)
            self._touch((head.author, head.incarnation), log)
        unheard = begun and log is not None and log.begun and not older
        return Cut(ring, head, parts, tuple(older), entries, unheard)

    def _drop(self, author: NodeId, incarnation: int, ring: Ring) -> None:
        self._unpark(author, [p for p in self._parked.get(author, {}) if p[0] == incarnation])
        self._by_author[author].remove(incarnation)
        del self._logs[author, incarnation]
        self.summary(ring).remove((author, incarnation))

    def _summed_up(self, entry: Entry, log: _Log) -> list[Whole]:
        """Count the parts of a checkpoint as they come in a row."""
        said = self._read(entry)
        if said is None or not fits(entry, said) or said.part not in (0, log.parts) or said.head.id != log.id(said.head.seq):
            log.parts = 0
            return []
        log.parts = said.part + 1
        return [Whole(entry.ring, said.head, said.parts)] if log.parts == said.parts else []

    def _begin(self, signed: SignedEntry, size: int, peer: NodeId | None) -> list[Effect]:
        """Let a log begin at a checkpoint; what was held of it lies behind."""
        entry = signed.entry
        said = self._read(entry)
        if said is None or not fits(entry, said) or said.part:
            return self._park(signed, size, peer)
        log = self._open(entry.author, entry.incarnation, entry.ring)
        if log is None:
            return [Ignored(signed.id, "the store for this author is full")]
        log.begun = log.size == 0
        log.ids.clear()
        log.base, log.base_id, log.parts = said.head.seq, said.head.id, 0
        waiting = self._parked.get(entry.author, {})
        self._unpark(entry.author, [p for p in waiting if p[0] == entry.incarnation and p[1] <= said.head.seq])
        return self._grow(signed, peer)

    def _stray(self, signed: SignedEntry, peer: NodeId | None) -> list[Effect]:
        """From behind the cut: of no use, unless another for the same place comes too."""
        place = (signed.entry.author, signed.entry.incarnation, signed.entry.seq)
        rival = self._strays.pop(place, None)
        if rival is not None and rival.id != signed.id:
            return self._fork(signed, rival.id, rival, peer)
        self._strays[place] = signed
        if len(self._strays) > self.rules.strays_max:
            del self._strays[next(iter(self._strays))]
        return [Ignored(signed.id, "a checkpoint of its author stands for it")]

    # room -------------------------------------------------------------------------------------------------------------

    def trim(self, author: NodeId, incarnation: int, last: int) -> None:
        """Forget a log's entries after `last`, for want of room; with 0 or what was cut off, all of it."""
        log = self._logs.get((author, incarnation))
        if log is None:
            return
        if last <= log.base and not log.fork:
            self._drop(author, incarnation, log.ring)
            if not self._by_author[author]:
                del self._by_author[author]
            marks = self._marks.get((author, log.ring))
            if marks is not None and marks.last is not None and marks.last[0].incarnation >= incarnation:
                del self._marks[author, log.ring]  # it may come back one day, from where its author begins it
            return
        log.keep(last)
        log.parts = 0
        self._touch((author, incarnation), log)

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
    low = log.base + 1 if log.base else 0
    return Line(key[0], key[1], log.size, log.id(log.size) if log.size else NOTHING, log.fork, low)


def _place(head: Head) -> tuple[int, int]:
    return head.incarnation, head.seq
