"""Stories of one job's auction."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ctorrent.market.auction import Auction, State
from ctorrent.market.rank import Bidder, Standing
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
    Rules,
    SessionEnded,
    Snapshot,
    Terms,
    Tick,
    Unsellable,
    Want,
)
from ctorrent.model.ids import NodeId
from ctorrent.model.trade import No, NoReason


def bid(name: str, slots: int = 1, speed: float = 10.0, price: float = 0.5, owner: str = "", trusted: bool = False) -> Bidder:
    return Bidder(NodeId(name), owner or f"own_{name}", slots, slots + 1, speed, price, 1, trusted)


class Market:
    """An auction with a hand on its clock."""

    def __init__(self, wanted: int = 4, terms: Terms | None = None, rules: Rules | None = None) -> None:
        self.auction = Auction(terms or Terms(price_max=1.0, owners=1), random.Random(3), rules)
        self.now = 0.0
        self.tell(Want(wanted))
        self.first = self.tell(Begin())

    def tell(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        self.now += after_s
        return self.auction.handle(event, self.now)

    def bids(self, *bidders: Bidder) -> list[Effect]:
        out: list[Effect] = []
        for one in bidders:
            self.tell(InterestArrived(one.node, one.owner, one.trusted))
            out += self.tell(BidArrived(one))
        return out

    def until(self, now: float) -> list[Effect]:
        """Follow the machine's own wake-ups."""
        out: list[Effect] = []
        while (wake := self.auction.next_wakeup) is not None and wake <= now:
            self.now = max(self.now, wake)
            out += self.tell(Tick())
        self.now = now
        return out


def engaged(effects: list[Effect]) -> list[NodeId]:
    return [e.node for e in effects if isinstance(e, Engage) and not e.again]


def test_announce_describe_bid_engage() -> None:
    market = Market(wanted=2)
    assert market.first == [Announce(1, 2, 2.0)]
    assert market.tell(InterestArrived(NodeId("a"), "own_a")) == [Describe(NodeId("a"))]
    assert market.tell(InterestArrived(NodeId("a"), "own_a")) == [], "asked twice, told once"
    effects = market.tell(BidArrived(bid("a")), 0.1)
    assert engaged(effects) == ["a"]
    one = effects[0]
    assert isinstance(one, Engage) and (one.slots, one.credit, one.newcomer) == (1, 2, True) and one.weight > 0


def test_half_goes_to_the_first_the_rest_to_the_windows_best() -> None:
    market = Market(wanted=4)
    known = {NodeId(n): Standing(agreed=50) for n in ("slow", "mid", "fast", "faster", "fastest")}
    market.tell(Snapshot(known, {}))
    assert engaged(market.bids(bid("slow", speed=1), bid("mid", speed=5))) == ["slow", "mid"]
    assert engaged(market.bids(bid("fast", speed=10), bid("fastest", speed=90), bid("faster", speed=50))) == []
    assert engaged(market.until(2.0)) == ["fastest", "faster"]


def test_friends_and_oneself_do_not_wait_for_the_window() -> None:
    market = Market(wanted=2)
    assert engaged(market.bids(bid("me", trusted=True), bid("friend", trusted=True))) == ["me", "friend"]


def test_a_small_job_still_gets_enough_different_owners() -> None:
    market = Market(wanted=1, terms=Terms(price_max=1.0, owners=3))
    assert engaged(market.bids(bid("me", slots=8, trusted=True, owner="own_me"))) == ["me"]
    market.bids(bid("me2", owner="own_me"), bid("b"), bid("c"), bid("d"))
    market.until(2.0)
    assert sorted(market.auction.engaged) == ["b", "c", "me"]


def test_a_late_bid_is_taken_while_slots_are_free_and_kept_in_reserve_after() -> None:
    market = Market(wanted=1)
    market.until(3.0)
    assert engaged(market.bids(bid("late"))) == ["late"]
    assert market.bids(bid("later")) == []
    assert list(market.auction.reserve) == ["later"]


def test_a_lost_worker_is_replaced_from_the_reserve_else_announced_again() -> None:
    market = Market(wanted=1)
    market.until(3.0)
    market.bids(bid("a"), bid("b"))
    assert engaged(market.tell(SessionEnded(NodeId("a")))) == ["b"]
    market.until(200.0)
    assert market.tell(Avoided(NodeId("b"), "no sandbox")) == []
    assert [type(e) for e in market.until(202.0)] == [Announce]
    declined = market.tell(InterestArrived(NodeId("b"), "own_b"))
    assert [type(e) for e in declined] == [Decline], "avoided stays avoided"


def test_rounds_grow_rarer_and_then_the_job_is_unsellable_with_the_reasons() -> None:
    market = Market(wanted=4)
    for number in range(6):
        market.tell(NoThanksArrived(NodeId(f"p{number}"), (No(NoReason.PACKAGES, "numpy"), No(NoReason.BUSY))))
    market.tell(NoThanksArrived(NodeId("q"), (No(NoReason.BUSY, "cores"),)))
    market.tell(NoThanksArrived(NodeId("r"), (No(NoReason.BUSY, "memory"),)))
    market.tell(NoThanksArrived(NodeId("s"), (No(NoReason.ISOLATION, "docker"),)))
    effects: list[Effect] = []
    times: list[float] = [0.0]
    while not any(isinstance(e, Unsellable) for e in effects):
        wake = market.auction.next_wakeup
        assert wake is not None and wake < 1000, "it must give up some day"
        market.now = wake
        effects = market.tell(Tick())
        times += [market.now] * any(isinstance(e, Announce) for e in effects)
    assert times == [0.0, 4.0, 12.0, 28.0, 60.0]
    assert effects == [Unsellable(5, "9 peers saw it: 6 lack numpy, 2 are busy, 1 is below the isolation asked")]
    assert market.auction.state is State.UNSELLABLE and market.auction.next_wakeup is None
    assert [type(e) for e in market.tell(Begin())] == [Announce], "its requester may try again"


def test_while_somebody_works_the_job_is_announced_on_and_never_unsellable() -> None:
    market = Market(wanted=4)
    market.bids(bid("a"))
    effects = market.until(2000.0)
    rounds = [e for e in effects if isinstance(e, Announce)]
    assert 15 <= len(rounds) <= 25
    assert len(rounds) == len(effects)


def test_bad_bids_are_declined_with_the_reason() -> None:
    market = Market(terms=Terms(price_max=1.0, isolation=3, owners=1))
    docker = replace(bid("x"), isolation=3)
    for one, reason in (
        (replace(docker, price=1.5), NoReason.PRICE),
        (replace(docker, price=float("nan")), NoReason.BUSY),
        (replace(docker, slots=0), NoReason.BUSY),
        (bid("x"), NoReason.ISOLATION),
    ):
        effects = market.bids(one)
        assert [e.no.reason for e in effects if isinstance(e, Decline)] == [reason]
    assert market.tell(BidArrived(docker)) == [], "nobody described the job to it"


def test_the_quarantined_are_told_why_and_their_way_back_even_when_friends() -> None:
    held, market = Standing(agreed=40, disputed=9, held="9 of 49 wrong"), Market()
    market.tell(Snapshot({NodeId("known"): held}, {}))
    for arrived in (InterestArrived(NodeId("known"), "own_k", True), InterestArrived(NodeId("fresh"), "own_f", False, held)):
        told = [e for e in market.tell(arrived) if isinstance(e, Decline)]
        assert [(e.no.reason, e.no.detail) for e in told] == [(NoReason.DISTRUST, "9 of 49 wrong")], "and is described nothing"
    market.bids(bid("turned"))
    market.tell(Snapshot({NodeId("turned"): replace(held, held="")}, {}))
    assert any(isinstance(e, Describe) for e in market.tell(InterestArrived(NodeId("other"), "own_o")))


def test_a_new_view_changes_weights_and_says_so() -> None:
    market = Market(wanted=2)
    market.bids(bid("a", speed=100.0), bid("b"))
    again = [e for e in market.tell(Snapshot({}, {NodeId("a"): 1.0})) if isinstance(e, Engage)]
    assert [(e.node, e.again) for e in again] == [("a", True)]
    assert market.tell(Snapshot({}, {NodeId("a"): 1.0})) == []


def stampede(rules: Rules) -> tuple[Market, int, int]:
    """A thousand nodes answer one announcement. -> the market, most sessions at once, how many were declined."""
    market = Market(wanted=20, rules=rules)
    rng = random.Random(11)
    waiting: list[Bidder] = []
    most = declined = 0
    for number in range(1000):
        one = bid(f"n{number:04}", speed=rng.random() * 50)
        effects = market.tell(InterestArrived(one.node, one.owner), 0.002)
        if any(isinstance(e, Describe) for e in effects):
            waiting.append(one)
        for effect in effects:
            if isinstance(effect, Decline):
                assert effect.no.reason is NoReason.FULL and rules.retry_s <= effect.retry_s <= 2 * rules.retry_s
                declined += 1
        if waiting and rng.random() < 0.5:
            market.tell(BidArrived(waiting.pop(rng.randrange(len(waiting)))))
        auction = market.auction
        most = max(most, len(auction._described) + len(auction.reserve) + len(auction.engaged))
    return market, most, declined


def test_a_thousand_nodes_and_one_announcement_keep_within_the_session_limit() -> None:
    rules = Rules(sessions_max=50, reserve_max=10)
    market, most, declined = stampede(rules)
    assert most <= rules.sessions_max
    assert declined > 900
    market.until(30.0)
    assert len(market.auction.engaged) == 20
    assert len(market.auction.reserve) <= rules.reserve_max


def test_an_auction_that_counts_no_sessions_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Auction, "sessions", property(lambda self: 0))
    assert stampede(Rules(sessions_max=50, reserve_max=10))[1] > 50


def test_places_are_kept_for_friends() -> None:
    market = Market(wanted=4, rules=Rules(sessions_max=10, places_kept=2))
    for number in range(20):
        market.tell(InterestArrived(NodeId(f"s{number}"), "own"))
    assert market.auction.sessions == 8
    assert market.tell(InterestArrived(NodeId("friend"), "own_f", trusted=True)) == [Describe(NodeId("friend"))]


def test_who_never_bids_loses_its_place() -> None:
    market = Market()
    market.tell(InterestArrived(NodeId("a"), "own_a"))
    market.until(16.0)
    assert market.auction.sessions == 0
    assert market.tell(BidArrived(bid("a"))) == []


def test_nothing_is_announced_while_nothing_is_wanted() -> None:
    market = Market(wanted=0)
    assert market.first == []
    assert market.auction.next_wakeup is None
    assert [type(e) for e in market.tell(Want(3))] == [Announce]


def test_the_end_is_the_end() -> None:
    market = Market()
    market.bids(bid("a"))
    assert market.tell(End()) == []
    assert market.auction.next_wakeup is None
    assert market.bids(bid("b")) == []


def test_why_in_words() -> None:
    market = Market(wanted=1)
    assert market.auction.why() == "no peer answered"
    market.tell(NoThanksArrived(NodeId("a"), (No(NoReason.PYTHON, "3.13"),)))
    assert market.auction.why() == "1 peer saw it: 1 has another Python than 3.13"
    market.tell(NoThanksArrived(NodeId("b"), (No(NoReason.PYTHON, "3.13"),)))
    market.bids(bid("c"), bid("d"))
    assert market.auction.why() == (
        "4 peers saw it: 1 is engaged, 2 have another Python than 3.13, 1 would take it"
    )
    market.tell(NoThanksArrived(NodeId("e"), ()))
    assert "1 shares nothing now" in market.auction.why()
    assert "engaged" in market.auction.story(NodeId("c"))[-1]


@pytest.mark.parametrize("reason", list(NoReason))
def test_many_who_give_one_reason_are_added_up_whatever_it_is(reason: NoReason) -> None:
    market = Market(wanted=1)
    for name in "ab":
        market.tell(NoThanksArrived(NodeId(name), (No(reason, ""),)))
    assert market.auction.why().startswith("2 peers saw it: 2 ")
