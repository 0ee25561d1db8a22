"""The auction of one job. Pure. Words: Smith, "The Contract Net Protocol", IEEE Trans. Computers C-29(12), 1980.

    IDLE ──Begin──▶ OPEN: Announce … window … choose ──▶ OPEN, engaged; announced again, ever more rarely
                      │  ▲                                 │ worker lost: from the reserve, or a new round
                      │  └── Begin, or a late bid ──┐      ▼
                      └── rounds_max, nobody ──▶ UNSELLABLE          End (from anywhere) ──▶ OVER
    a peer: interest ─▶ described ─▶ bid ─▶ engaged, or in reserve, or declined with a reason and a time to wait
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Mapping
from enum import Enum

from ctorrent.market import rank
from ctorrent.market.rank import Bidder, Ranked, Speeds, Standing
from ctorrent.market.tally import Answers
from ctorrent.market.words import (
    Announce,
    Avoided,
    Begin,
    BidArrived,
    Decline,
    Describe,
    Effect,
    End,
    Engage,
    Event,
    InterestArrived,
    NoThanksArrived,
    Pardoned,
    Rules,
    SessionEnded,
    Snapshot,
    Terms,
    Unsellable,
    Want,
)
from ctorrent.model.ids import NodeId
from ctorrent.model.trade import No, NoReason

_HELD_S = 3600.0  # in which a quarantined peer is told its way back once
_FOR_EVER_S = 7 * 86400.0  # "do not ask again": the longest a job may last by default
_STRANGER = Standing()
_LOG_MAX = 1000


class State(Enum):
    IDLE = 0
    OPEN = 1
    UNSELLABLE = 2
    OVER = 3


class Auction:
    """Who works on one job. `draw` spreads the retries of those turned away."""

    def __init__(
        self, terms: Terms, draw: random.Random, rules: Rules | None = None, ranking: rank.Rules | None = None
    ) -> None:
        self.state = State.IDLE
        self.next_wakeup: float | None = None
        self.round = 0
        self.wanted = 0
        self.engaged: dict[NodeId, Ranked] = {}
        self.reserve: dict[NodeId, Ranked] = {}
        self._terms, self._draw = terms, draw
        self._rules, self._ranking = rules or Rules(), ranking or rank.Rules()
        self._described: dict[NodeId, float] = {}  # until when a bid is awaited
        self._standings: Mapping[NodeId, Standing] = {}
        self._fresh: dict[NodeId, Standing] = {}  # of those that came since the last snapshot
        self._speeds: Speeds = {}
        self._answers = Answers(self._rules.answers_max)
        self._avoided: dict[NodeId, str] = {}
        self._fruitless = 0  # rounds since somebody was engaged
        self._window_end: float | None = None
        self._next_round: float | None = None
        self._log: deque[tuple[float, NodeId, str]] = deque(maxlen=_LOG_MAX)

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Never raises on what peers do. Unknown peers' bids and ends are ignored."""
        out: list[Effect] = []
        if self.state is State.OVER:
            return out
        self._hear(event, now, out)
        self._time(now, out)
        self._schedule()
        return out

    def _hear(self, event: Event, now: float, out: list[Effect]) -> None:
        match event:
            case BidArrived(bidder):
                self._bid(bidder, now, out)
            case InterestArrived(node, _, trusted, standing):
                if standing is not None:
                    self._fresh[node] = standing
                self._interest(node, trusted, now, out)
            case NoThanksArrived(node, reasons):
                self._forget(node)
                self._answers.add(node, reasons[: len(NoReason)] or (No(NoReason.ABSTAINS),))
            case SessionEnded(node, why):
                self._lost(node, why or "its session ended", now, out)
            case Avoided(node, why):
                self._avoided[node] = why
                self._lost(node, why, now, out)
            case Pardoned(node):
                self._avoided.pop(node, None)
            case Want(slots):
                self._want(slots, now, out)
            case Snapshot(standings, speeds):
                self._standings, self._speeds, self._fresh = standings, speeds, {}
                self._rank_again(out)
            case Begin():
                self._begin(now)
            case End():
                self.state = State.OVER
                self._described.clear()
                self.reserve.clear()
            case _:  # Tick: only time passed
                pass

    # -- peers --------------------------------------------------------------------------------------------------------

    def _interest(self, node: NodeId, trusted: bool, now: float, out: list[Effect]) -> None:
        if node in self.engaged or node in self._described:
            return
        if node in self._avoided:
            self._decline(node, No(NoReason.DISTRUST, "avoided in this job"), _FOR_EVER_S, now, out)
        elif held := self._standing(node).held:
            self._decline(node, No(NoReason.DISTRUST, held), _HELD_S, now, out)
        elif self.sessions >= self._rules.sessions_max - (0 if trusted else self._rules.places_kept):
            self._full(node, now, out)
        else:
            self.reserve.pop(node, None)
            self._described[node] = now + self._rules.describe_s
            self._note(now, node, "described")
            out.append(Describe(node))

    def _bid(self, bidder: Bidder, now: float, out: list[Effect]) -> None:
        node = bidder.node
        if self._described.pop(node, None) is None:
            return
        no = self._refusal(bidder)
        if no is not None:
            self._decline(node, no, _FOR_EVER_S, now, out)
            return
        self._answers.add(node, ())
        self.reserve[node] = self._rank(bidder)
        self._note(now, node, "bid")
        self._fill(now, out)
        self._trim_reserve(now, out)

    def _refusal(self, bidder: Bidder) -> No | None:
        numbers = (bidder.price, bidder.speed_gflops)
        if bidder.slots < 1 or bidder.credit < 1 or not all(math.isfinite(n) and n >= 0 for n in numbers):
            return No(NoReason.BUSY, "an empty bid")
        if bidder.price > self._terms.price_max:
            return No(NoReason.PRICE, f"{bidder.price:g}")
        if bidder.isolation < self._terms.isolation:
            return No(NoReason.ISOLATION)
        if held := self._standing(bidder.node).held:
            return No(NoReason.DISTRUST, held)
        return None

    def _lost(self, node: NodeId, why: str, now: float, out: list[Effect]) -> None:
        was_engaged = node in self.engaged
        self._forget(node)
        if not was_engaged:
            return
        self._note(now, node, f"lost: {why}")
        self._fruitless = 0
        self._fill(now, out)
        if self._short and self.state is State.OPEN:
            self._next_round = min(self._next_round or math.inf, now + self._rules.urgent_s)

    def _forget(self, node: NodeId) -> None:
        self._described.pop(node, None)
        self.reserve.pop(node, None)
        self.engaged.pop(node, None)

    # -- engaging -----------------------------------------------------------------------------------------------------

    def _fill(self, now: float, out: list[Effect]) -> None:
        """Engage from the reserve: all that is wanted; while the window is open, only the first half and the trusted."""
        open_window = self._window_end is not None and now < self._window_end
        limit = math.ceil(self.wanted * self._rules.early_share) if open_window else self.wanted
        for one in rank.order(r for r in self.reserve.values() if r.bidder.trusted):
            if self._useful(one):
                self._engage(one, now, out)
        waiting, engaged = self.reserve.values(), self.engaged.values()
        for one in rank.choose(waiting, engaged, limit, self.wanted, self._ranking, strict=open_window):
            self._engage(one, now, out)
        for one in rank.order(self.reserve.values()):
            if self._owners_short and self._useful(one):
                self._engage(one, now, out)

    def _useful(self, one: Ranked) -> bool:
        """Does it fill a slot, or bring an owner that replicas lack?"""
        if self._slots < self.wanted:
            return True
        return self._owners_short and all(r.bidder.owner != one.bidder.owner for r in self.engaged.values())

    def _engage(self, one: Ranked, now: float, out: list[Effect]) -> None:
        bidder = one.bidder
        self.reserve.pop(bidder.node, None)
        self.engaged[bidder.node] = one
        self._fruitless = 0
        self.state = State.OPEN
        self._note(now, bidder.node, f"engaged, score {one.score:.3g}")
        out.append(self._terms_of(one, again=False))

    def _terms_of(self, one: Ranked, again: bool) -> Engage:
        b = one.bidder
        return Engage(b.node, b.owner, b.slots, b.credit, one.score, one.newcomer, again)

    def _rank_again(self, out: list[Effect]) -> None:
        for node, old in list(self.reserve.items()):
            self.reserve[node] = self._rank(old.bidder)
        for node, old in list(self.engaged.items()):
            new = self._rank(old.bidder)
            if new != old:
                self.engaged[node] = new
                out.append(self._terms_of(new, again=True))

    def _trim_reserve(self, now: float, out: list[Effect]) -> None:
        """Once the window is over, only so many wait; the worst are sent away."""
        limit = self._rules.sessions_max if self._window_end is not None else self._rules.reserve_max
        for one in rank.order(self.reserve.values())[limit:]:
            del self.reserve[one.bidder.node]
            self._full(one.bidder.node, now, out)

    # -- time ---------------------------------------------------------------------------------------------------------

    def _begin(self, now: float) -> None:
        if self.state in (State.IDLE, State.UNSELLABLE):
            self.state, self._fruitless, self._next_round = State.OPEN, 0, now

    def _want(self, slots: int, now: float, out: list[Effect]) -> None:
        grew, self.wanted = slots > self.wanted, max(0, slots)
        if grew:
            self._fill(now, out)
        if grew and self._short and self.state is State.OPEN and self._next_round is None:
            self._next_round = now

    def _time(self, now: float, out: list[Effect]) -> None:
        if self.state is State.OVER:
            return
        for node in [n for n, until in self._described.items() if until <= now]:
            del self._described[node]
        if self._window_end is not None and now >= self._window_end:
            self._window_end = None
            self._fill(now, out)
            self._trim_reserve(now, out)
            if not self.engaged and self._fruitless >= self._rules.rounds_max and self.wanted:
                self._give_up(out)
        if self.state is State.OPEN and self._next_round is not None and now >= self._next_round:
            self._announce(now, out)

    def _announce(self, now: float, out: list[Effect]) -> None:
        if not self._short:
            self._next_round = None  # until Want grows or a worker is lost
            return
        self.round += 1
        self._fruitless += 1
        wanted = min(self._rules.bids_max, max(self.wanted - self._slots, self._terms.owners))
        self._window_end = now + self._rules.bid_window_s
        self._next_round = now + min(self._rules.backoff_max_s, self._rules.backoff_s * 2 ** min(self._fruitless - 1, 16))
        out.append(Announce(self.round, wanted, self._rules.bid_window_s))

    def _give_up(self, out: list[Effect]) -> None:
        self.state, self._next_round = State.UNSELLABLE, None
        out.append(Unsellable(self._fruitless, self.why()))

    def _schedule(self) -> None:
        if self.state is State.OVER:
            self.next_wakeup = None
            return
        times = [t for t in (self._window_end, self._next_round, *self._described.values()) if t is not None]
        self.next_wakeup = min(times, default=None)

    # -- small things -------------------------------------------------------------------------------------------------

    def holds(self, node: NodeId) -> bool:
        """Does this peer hold a place?"""
        return node in self.engaged or node in self.reserve or node in self._described

    @property
    def sessions(self) -> int:
        """Peers that hold a place: described, in reserve, engaged."""
        return len(self._described) + len(self.reserve) + len(self.engaged)

    @property
    def _slots(self) -> int:
        return sum(r.bidder.slots for r in self.engaged.values())

    @property
    def _owners_short(self) -> bool:
        owners = dict.fromkeys(r.bidder.owner for r in self.engaged.values())
        return self.wanted > 0 and len(owners) < self._terms.owners

    @property
    def _short(self) -> bool:
        return self._slots < self.wanted or self._owners_short

    def _rank(self, bidder: Bidder) -> Ranked:
        floor = 0.1 * self._terms.price_max  # below a tenth of what the job would pay, cheaper is not better
        speed = self._speeds.get(bidder.node)
        return rank.score(bidder, self._standing(bidder.node), speed, floor, self._ranking)

    def _standing(self, node: NodeId) -> Standing:
        return self._fresh.get(node) or self._standings.get(node, _STRANGER)

    def _full(self, node: NodeId, now: float, out: list[Effect]) -> None:
        retry_s = self._rules.retry_s * (1 + self._draw.random())
        self._decline(node, No(NoReason.FULL), retry_s, now, out)

    def _decline(self, node: NodeId, no: No, retry_s: float, now: float, out: list[Effect]) -> None:
        self._answers.add(node, (no,))
        self._note(now, node, f"declined: {no.reason.value}")
        out.append(Decline(node, no, retry_s))

    def _note(self, now: float, node: NodeId, what: str) -> None:
        self._log.append((now, node, what))

    # -- for people ---------------------------------------------------------------------------------------------------

    def why(self) -> str:
        """What peers answered, added up in one sentence."""
        return self._answers.words(len(self.engaged))

    def reasons(self) -> dict[tuple[NoReason, str], int]:
        """The same, for programs."""
        return self._answers.counts()

    def story(self, node: NodeId) -> list[str]:
        """What happened between this job and a peer, oldest first."""
        return [f"{when:.3f} s: {what}" for when, who, what in self._log if who == node]
