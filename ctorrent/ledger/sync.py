"""What two nodes do when they meet: find the logs that differ, and exchange what is missing. One machine, both sides.

    opener    ASKING ──all differences found, all wants answered──▶ CLOSING ──Done──▶ ENDED
    answerer  ANSWERING ──────────Done heard, own wants answered──────────────────▶ ENDED
    either    ──silence for stall_s, or more questions than a meeting needs──▶ ENDED (with why)

The opener compares fingerprints of prefixes (summary.py), goes down where they differ, and works out from the lines at
the bottom what to want and what to give; the answerer only answers. Wants are answered in the order they were sent.
Only rings that both belong to are spoken of: `rings` is the node's word for that, and an entry of another is refused.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ctorrent.ledger.chain import Accept, Chain, Refuse, Request
from ctorrent.ledger.chain import Effect as ChainEffect
from ctorrent.ledger.rules import SyncRules
from ctorrent.ledger.summary import DEPTH, ROOT, Line, Prefix, Slice
from ctorrent.model.entry import SignedEntry
from ctorrent.model.ids import NodeId, Ring
from ctorrent.seal import Sealed

# messages ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compare:
    """Opener: here is what I have below each prefix; what do you have?"""

    ring: Ring
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One slice's answer: neither children nor lines: the same. `whole`: every log below the prefix is in `lines`."""

    prefix: Prefix
    children: tuple[Slice, ...] = ()
    lines: tuple[Line, ...] = ()
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Answerer, once per Compare: the first of its slices, as many as fit."""

    ring: Ring
    found: tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Want:
    """Either side: give me these entries of a log, both ends included, and, if `proof`, the two that prove its fork."""

    author: NodeId
    incarnation: int
    from_seq: int
    to_seq: int  # below from_seq: only the proof
    proof: bool = False


@dataclass(frozen=True, slots=True)
class Give:
    """Entries as they were signed. `answers`: how many wants end with this message, 0 for a part or an unasked gift."""

    entries: tuple[Sealed, ...]
    answers: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """I want nothing more."""


SyncMessage = Compare | Answer | Want | Give | Done

# events ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that is not Give."""

    message: Compare | Answer | Want | Done


@dataclass(frozen=True, slots=True)
class Given:
    """A Give whose entries were opened and verified, in order; `bad` could not be."""

    entries: tuple[SignedEntry, ...]
    answers: int
    bad: int = 0


@dataclass(frozen=True, slots=True)
class Tick:
    """`deadline` has come."""


Event = Heard | Given | Tick

# effects -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    message: Compare | Answer | Want | Done


@dataclass(frozen=True, slots=True)
class Serve:
    """Read this from the journal and send it in Gives (see `parcels`), in the order of these effects.

    answers: what the last Give (an empty one, if there is nothing) says; 0: a gift, of which nothing is to be said.
    """

    want: Want
    answers: int


@dataclass(frozen=True, slots=True)
class Took:
    """What the chain made of an entry: store, request from others, keep as proof, charge."""

    effect: ChainEffect


@dataclass(frozen=True, slots=True)
class Charge:
    """The peer did what no honest version does."""

    peer: NodeId
    why: str


@dataclass(frozen=True, slots=True)
class End:
    """Close the channel. `why` is empty when the meeting ran to its end."""

    why: str = ""


Effect = Send | Serve | Took | Charge | End


class Sync:
    """One meeting with one peer."""

    def __init__(
        self, chain: Chain, peer: NodeId, rings: Sequence[Ring], opener: bool, now: float, rules: SyncRules | None = None,
        takes: Callable[[NodeId], bool] = lambda author: True,
    ) -> None:  # fmt: skip
        """takes: is there room for more entries of an author? What would not be kept is not asked for."""
        self._chain = chain
        self._takes = takes
        self._peer = peer
        self._rings = tuple(sorted(set(rings), key=str))
        self._opener = opener
        self._rules = rules or SyncRules()
        self._questions: deque[tuple[Ring, Slice]] = deque()
        self._asked: tuple[Ring, tuple[Slice, ...]] | None = None
        self._wanted: deque[Want] = deque()
        self._open: deque[Want] = deque()  # sent, not yet answered, in order
        self._outstanding: set[Want] = set()  # both of them: looked into, never iterated
        self._goal: dict[tuple[NodeId, int], int] = {}  # how far the peer says a log goes
        self._wants_made = 0
        self._compares = 0
        self._done_said = False
        self._done_heard = False
        self.ended = False
        self.deadline = now + self._rules.stall_s
        self.received = 0  # entries accepted, for whoever reports the meeting
        self.asked = 0  # entries that were wanted: so many may come without being news

    def start(self) -> list[Effect]:
        """What the opener says first; nothing from the answerer."""
        if not self._opener:
            return []
        self._questions.extend((ring, self._chain.summary(ring).slice(ROOT)) for ring in self._rings)
        return self._proceed()

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event; never raises on what the peer says."""
        if self.ended:
            return []
        if isinstance(event, Tick):
            return self._end("the peer said nothing for too long") if now >= self.deadline else []
        self.deadline = now + self._rules.stall_s
        effects = self._take(event)
        return effects if self.ended else effects + self._proceed()

    def alive(self, now: float) -> None:
        """The peer takes what it is sent: it is not silent, it listens."""
        self.deadline = now + self._rules.stall_s

    def _take(self, event: Heard | Given) -> list[Effect]:
        if isinstance(event, Given):
            return self._given(event)
        match event.message:
            case Compare() as compare:
                return self._compare(compare)
            case Answer() as answer:
                return self._answer(answer)
            case Want() as want:
                return self._want(want)
            case Done():
                self._done_heard = True
                return []

    def _proceed(self) -> list[Effect]:
        """Send what the windows allow; end when there is nothing left."""
        effects: list[Effect] = []
        while self._wanted and len(self._open) < self._rules.wants_open:
            want = self._wanted.popleft()
            self._open.append(want)
            self.asked += max(0, want.to_seq - want.from_seq + 1) + 2 * want.proof
            effects.append(Send(want))
        if self._questions and self._asked is None:
            effects.append(self._ask())
        idle = not (self._questions or self._asked or self._open or self._wanted)
        if idle and not self._done_said and (self._opener or self._done_heard):
            self._done_said = True
            effects.append(Send(Done()))
        if idle and self._done_said and self._done_heard:
            effects += self._end("")
        return effects

    def _end(self, why: str) -> list[Effect]:
        self.ended = True
        return [End(why)]

    # the opener's side ------------------------------------------------------------------------------------------------

    def _ask(self) -> Send:
        ring = self._questions[0][0]
        slices: list[Slice] = []
        while self._questions and self._questions[0][0] == ring and len(slices) < self._rules.slices_max:
            slices.append(self._questions.popleft()[1])
        self._asked = (ring, tuple(slices))
        return Send(Compare(ring, tuple(slices)))

    def _answer(self, answer: Answer) -> list[Effect]:
        if self._asked is None or self._asked[0] != answer.ring:
            return [Charge(self._peer, "an answer to no question")]
        ring, asked = self._asked
        answered = [found.prefix for found in answer.found]
        if not answered or answered != [s.prefix for s in asked[: len(answered)]]:
            return [Charge(self._peer, "an answer to another question"), *self._end("the peer broke the protocol")]
        self._asked = None
        self._questions.extendleft((ring, s) for s in reversed(asked[len(answer.found) :]))
        effects: list[Effect] = []
        for found in answer.found:
            effects += self._difference(ring, found)
        return effects

    def _difference(self, ring: Ring, found: Found) -> list[Effect]:
        summary = self._chain.summary(ring)
        allowed = found.prefix.children() if found.prefix.depth < DEPTH else []
        for child in found.children:
            if child.prefix in allowed and (mine := summary.slice(child.prefix)) != child:
                self._questions.append((ring, mine))
        effects: list[Effect] = []
        for line in found.lines:
            effects += self._line(ring, line)
        if found.whole:
            listed = {(line.author, line.incarnation) for line in found.lines}
            for line in summary.lines(found.prefix, self._rules.lines_max):
                if (line.author, line.incarnation) not in listed:
                    effects += self._gift(line, max(1, line.low), line.seq, bool(line.fork))
        return effects

    def _line(self, ring: Ring, theirs: Line) -> list[Effect]:
        """Compare one log's two states: want what they have more of, give what I have more of."""
        mine = self._chain.line(theirs.author, theirs.incarnation)
        if mine is None:
            if self._takes(theirs.author):
                self._pull(theirs, max(1, theirs.low), theirs.seq, bool(theirs.fork))
            return []
        if mine == theirs or self._chain.ring(theirs.author, theirs.incarnation) != ring:
            return []
        if ((last := _reach(theirs, mine)) > mine.seq and self._takes(theirs.author)) or _tells(theirs, mine):
            self._pull(theirs, max(mine.seq + 1, theirs.low), last, _tells(theirs, mine))
        effects: list[Effect] = []
        if (last := _reach(mine, theirs)) > theirs.seq or _tells(mine, theirs):
            effects += self._gift(mine, max(theirs.seq + 1, mine.low), last, _tells(mine, theirs))
        if mine.seq == theirs.seq > 0 and mine.id != theirs.id:
            # the author forked: either side's entry at this seq is the other's proof
            self._queue(Want(theirs.author, theirs.incarnation, theirs.seq, theirs.seq, True))
            effects += self._gift(mine, mine.seq, mine.seq, False)
        return effects

    def _pull(self, theirs: Line, first: int, last: int, proof: bool) -> None:
        self._goal[theirs.author, theirs.incarnation] = last
        piece = min(last, first + self._chain.rules.request_max - 1)
        self._queue(Want(theirs.author, theirs.incarnation, first, piece, proof))

    def _gift(self, line: Line, first: int, last: int, proof: bool) -> list[Serve]:
        """Unasked: in pieces, so that no side reads more of a log at once than a want may ask for."""
        step = self._chain.rules.request_max
        starts = range(first, last + 1, step) or [first]
        pieces = [Want(line.author, line.incarnation, s, min(last, s + step - 1)) for s in starts]
        pieces[-1] = replace(pieces[-1], proof=proof)
        return [Serve(piece, 0) for piece in pieces]

    # either side ------------------------------------------------------------------------------------------------------

    def _queue(self, want: Want) -> None:
        if self._wants_made < self._rules.wants_max and want not in self._outstanding:
            self._wants_made += 1
            self._outstanding.add(want)
            self._wanted.append(want)

    def _given(self, given: Given) -> list[Effect]:
        effects: list[Effect] = []
        if given.bad:
            effects.append(Charge(self._peer, f"{given.bad} entries that do not open"))
        for signed in given.entries:
            effects += self._take_entry(signed)
        if not 0 <= given.answers <= len(self._open):
            return [*effects, Charge(self._peer, "an answer to no want"), *self._end("the peer broke the protocol")]
        for _ in range(given.answers):
            answered = self._open.popleft()
            self._outstanding.discard(answered)
            self._further(answered)
        return effects

    def _take_entry(self, signed: SignedEntry) -> list[Effect]:
        if signed.entry.ring not in self._rings:
            return [Took(Refuse(signed.id, self._peer, "an entry of a ring that is not shared"))]
        effects: list[Effect] = []
        for effect in self._chain.add(signed, self._peer, begins=True):
            self.received += isinstance(effect, Accept)
            if isinstance(effect, Request) and effect.peer == self._peer:
                self._queue(Want(effect.author, effect.incarnation, effect.from_seq, effect.to_seq))
            else:
                effects.append(Took(effect))
        return effects

    def _further(self, want: Want) -> None:
        """A want was answered: ask for the next piece of the log if this one brought us on."""
        goal = self._goal.get((want.author, want.incarnation), 0)
        head = self._chain.head(want.author, want.incarnation)
        if head is None or want.from_seq > head.seq or want.to_seq >= goal or head.seq < want.to_seq:
            return
        last = min(goal, head.seq + self._chain.rules.request_max)
        self._queue(Want(want.author, want.incarnation, head.seq + 1, last, want.proof))

    # the answerer's side ----------------------------------------------------------------------------------------------

    def _want(self, want: Want) -> list[Effect]:
        """Serve what is held and may be seen; an empty Give answers the rest."""
        ring = self._chain.ring(want.author, want.incarnation)
        head = self._chain.head(want.author, want.incarnation)
        line = self._chain.line(want.author, want.incarnation)
        first = max(1, want.from_seq, 0 if line is None else line.low)
        last = min(want.to_seq, first + self._chain.rules.request_max - 1, 0 if head is None else head.seq)
        proof = want.proof and self._chain.forked_at(want.author, want.incarnation) > 0
        if ring not in self._rings or want.from_seq < 1:
            last, proof = 0, False
        return [Serve(Want(want.author, want.incarnation, first, last, proof), 1)]

    def _compare(self, compare: Compare) -> list[Effect]:
        self._compares += 1
        rules = self._rules
        if self._opener or self._compares > rules.compares_max or not 0 < len(compare.slices) <= rules.slices_max:
            return [Charge(self._peer, "more questions than a meeting needs"), *self._end("the peer broke the protocol")]
        found: list[Found] = []
        room = rules.lines_max
        for theirs in compare.slices if compare.ring in self._rings else ():
            one = self._describe(compare.ring, theirs)
            room -= len(one.lines)
            if room < 0 and found:
                break
            found.append(one)
        empty = tuple(Found(s.prefix) for s in compare.slices) if not found else ()
        return [Send(Answer(compare.ring, tuple(found) or empty))]

    def _describe(self, ring: Ring, theirs: Slice) -> Found:
        summary = self._chain.summary(ring)
        mine = summary.slice(theirs.prefix)
        if mine == theirs:
            return Found(theirs.prefix)
        if mine.count > self._rules.list_max and theirs.prefix.depth < DEPTH:
            children = (summary.slice(child) for child in theirs.prefix.children())
            return Found(theirs.prefix, children=tuple(children))
        lines = summary.lines(theirs.prefix, self._rules.lines_max)
        return Found(theirs.prefix, lines=tuple(lines), whole=len(lines) == mine.count)


def _reach(giver: Line, taker: Line) -> int:
    """How far of the giver's log the taker would chain: what lies behind a fork it knows weighs nothing to it."""
    return min(giver.seq, taker.fork - 1) if taker.fork else giver.seq


def _tells(giver: Line, taker: Line) -> bool:
    """Does the giver know of an earlier fork than the taker?"""
    return giver.fork > 0 and (not taker.fork or giver.fork < taker.fork)


def parcels(entries: Sequence[Sealed], answers: int, rules: SyncRules | None = None) -> list[Give]:
    """Entries, in order, as messages within the limits; the last one says `answers`. None at all for an empty gift."""
    rules = rules or SyncRules()
    gives: list[list[Sealed]] = [[]]
    size = 0
    for sealed in entries:
        size += len(sealed.body) + 128  # key, signature and framing
        if gives[-1] and (len(gives[-1]) >= rules.give_entries_max or size > rules.give_bytes_max):
            gives.append([])
            size = len(sealed.body) + 128
        gives[-1].append(sealed)
    if not gives[-1] and not answers:
        return []
    return [Give(tuple(part)) for part in gives[:-1]] + [Give(tuple(gives[-1]), answers)]
