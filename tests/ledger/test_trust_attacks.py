"""What can be done to an honest worker's name, or for a cheat's, by those who only talk."""

from __future__ import annotations

import random
import time

import pytest

from ctorrent.ledger.quarantine import Cause, Phase
from ctorrent.ledger.reputation import SCORE_HELD, SCORE_PROVEN, Reputation
from ctorrent.ledger.tally import Counts
from ctorrent.ledger.trust_rules import QuarantineRules, ReputationRules
from ctorrent.model.entry import Head, Sum, Tally
from ctorrent.model.ids import Digest, NodeId, OwnerId

from .logs import author, entry

ME, FRIEND, OTHER, WORKER, SIGNER, LIAR = (author(n) for n in range(6))
NET = "net_10.0.0"
RULES, HOLD = ReputationRules(), QuarantineRules()


def tally(worker: NodeId, agreed: int, disputed: int = 0, owner: str = "") -> Tally:
    return Tally(Digest(b"t" * 32), worker, OwnerId(owner), agreed, disputed, 0, "cpu", b"r" * 32)


class Story:
    """A reader, and what it hears; one entry after the other of each author. seen: the evidence of a vote, in the reader's eyes."""

    def __init__(self, *friends: NodeId) -> None:
        self.reader = Reputation(ME, dict.fromkeys(friends, 0.5))
        self._seqs: dict[NodeId, int] = {}

    def says(self, who: NodeId, about: NodeId, agreed: int, disputed: int = 0, owner: str = "", seen: bool = True) -> Digest:
        self._seqs[who] = self._seqs.get(who, 0) + 1
        signed, said = entry(who, self._seqs[who]), tally(about, agreed, disputed, owner)
        self.reader.learn(signed, said)
        if seen:
            self.reader.shown(signed.id)
        if who == ME:
            self.reader.position += 1
            self.reader.judge(said)
        return signed.id

    def worked(self, *workers: NodeId, blocks: int = 100) -> None:
        """This node's own jobs ran there, and all was well."""
        for worker in workers:
            self.says(ME, worker, blocks)


def test_a_sybil_ring_has_no_trust_in_an_uninvolved_nodes_eyes() -> None:
    story = Story(FRIEND)
    story.worked(WORKER)
    ring = [author(n) for n in range(100, 300)]
    for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        story.says(one, other, 1_000_000)
        story.says(one, WORKER, 0, 1_000_000)
    assert {story.reader.signer(one) for one in ring} == {0.0}
    assert all(story.reader.record(one).blocks == 0 and story.reader.record(one).newcomer for one in ring)
    assert story.reader.record(WORKER).disputed == 0


def test_a_lying_requester_costs_an_honest_worker_nothing_with_third_parties() -> None:
    """Not when it is unknown, and not when it did honest work for the reader and is trusted a little for it."""
    story = Story(FRIEND)
    story.worked(WORKER)
    before = story.reader.record(WORKER)
    story.says(LIAR, WORKER, 0, 10_000)
    assert story.reader.record(WORKER) == before
    story.worked(LIAR, blocks=5000)
    assert story.reader.signer(LIAR) > 0.1
    after = story.reader.record(WORKER)
    assert (after.agreed, after.disputed, after.lower_bound) == (before.agreed, before.disputed, before.lower_bound)
    notes = {line.note for line in story.reader.why(WORKER) if line.author == LIAR}
    assert notes == {"its complaint counts as far as other witnesses bear it out"}
    stranger = author(77)
    story.says(LIAR, stranger, 0, 10_000)
    assert story.reader.record(stranger).disputed == 0, "nor does it keep a newcomer from being tried"


def test_a_complaint_whose_evidence_nobody_saw_weighs_nothing_but_a_friends() -> None:
    """Two who both worked well here say the same of a worker: that counts once what they stand on was seen."""
    story, worker = Story(FRIEND), author(78)
    story.worked(LIAR, OTHER, blocks=5000)
    votes = [story.says(who, worker, 5, 40, seen=False) for who in (LIAR, OTHER)]
    before = story.reader.record(worker)
    assert before.disputed == 0 and before.agreed > 0, "what it says of right blocks counts as ever"
    lines = [line for line in story.reader.why(worker) if line.author in (LIAR, OTHER)]
    assert {line.weight_wrong for line in lines} == {0.0} and all("evidence" in line.note for line in lines)
    for vote in votes:
        story.reader.shown(vote)
    after = story.reader.record(worker)
    assert after.disputed > 1 and after.agreed > 0
    assert all(line.weight_wrong > 0 for line in story.reader.why(worker))

    known_before, other = Story(FRIEND), author(79)
    known_before.worked(LIAR, OTHER, blocks=5000)
    for who in (LIAR, OTHER):  # after a restart the finding is known before the entry is read
        known_before.reader.shown(entry(who, 1).id)
        known_before.says(who, other, 5, 40, seen=False)
    assert known_before.reader.record(other) == after

    story.says(FRIEND, WORKER, 0, 2, seen=False)
    assert story.reader.record(WORKER).disputed == 1.0, "a friend is believed: half of two blocks"


def test_one_bought_friend_slanders_in_vain_even_with_puppets_of_its_own() -> None:
    story = Story(FRIEND, OTHER)
    story.worked(WORKER)
    before = story.reader.record(WORKER).lower_bound
    puppets = [author(n) for n in range(200, 250)]
    for puppet in puppets:
        story.says(FRIEND, puppet, 10_000)
        story.says(puppet, WORKER, 0, 10_000)
    story.says(FRIEND, WORKER, 0, 10_000)
    assert any(story.reader.signer(puppet) > 0 for puppet in puppets), "the friend's word carried them in"
    found = story.reader.record(WORKER)
    assert found.disputed <= RULES.alone_max and before - found.lower_bound < 0.04
    assert found.phase is Phase.FREE and not found.newcomer and not story.reader.held(WORKER)


def test_two_bought_friends_cannot_have_a_worker_quarantined_that_one_knows() -> None:
    story = Story(FRIEND, OTHER)
    story.worked(WORKER, blocks=500)
    for _ in range(5):
        story.says(FRIEND, WORKER, 0, 1000)
        story.says(OTHER, WORKER, 0, 1000)
    found = story.reader.record(WORKER)
    assert not story.reader.held(WORKER) and found.lower_bound > 0.9, "own experience first"
    unknown = author(9)
    story.says(FRIEND, unknown, 10, 20)
    assert not story.reader.held(unknown)
    story.says(OTHER, unknown, 10, 20)
    assert "2 friends" in story.reader.held(unknown) and story.reader.record(unknown).phase is Phase.HELD


def test_praise_shortens_no_newcomers_dues_and_its_size_is_bounded() -> None:
    story = Story()
    story.worked(SIGNER, blocks=1000)
    story.says(SIGNER, WORKER, 10**9)
    found = story.reader.record(WORKER)
    assert 0 < found.blocks <= RULES.said_max * 0.34, "however much it claims"
    assert found.newcomer and story.reader.established(WORKER) == 0


def test_whoever_was_served_by_a_ring_gives_it_little_and_the_ring_shares_it() -> None:
    ring = [author(n) for n in range(100, 400)]
    story = Story(FRIEND)
    story.worked(ring[0], *[author(n) for n in range(900, 910)], blocks=100)
    for one in ring:
        for other in random.Random(1).sample(ring, 5):
            story.says(one, other, 1_000_000)
    story.reader.record(WORKER)
    whole = sum(story.reader.signer(one) for one in ring)
    assert 0 < whole < 0.04, "a tenth of what was found right, damped to a third at most"


def test_an_owner_with_many_nodes_speaks_once_and_falls_as_one() -> None:
    story, farm = Story("own_farm"), [author(n) for n in range(100, 150)]  # type: ignore[arg-type]
    for node in farm:
        story.reader.belongs(node, "own_farm")
        story.says(node, WORKER, 1000)
    alone = Story(FRIEND)
    alone.says(FRIEND, WORKER, 1000)
    assert story.reader.record(WORKER).agreed == pytest.approx(alone.reader.record(WORKER).agreed)
    for node in farm[:5]:
        story.says(ME, node, 0, 1, "own_farm")
    assert all(story.reader.held(node) for node in farm), "one wrong of each of five nodes: five wrong of their owner"
    assert story.reader.snapshot()[farm[0]].phase is Phase.HELD


def test_nodes_without_a_certificate_answer_together_for_their_network() -> None:
    story = Story()
    for number in range(100, 106):
        story.reader.belongs(author(number), network=NET)
        story.says(ME, author(number), 0, 1)
    fresh = author(500)
    story.reader.belongs(fresh, network=NET)
    assert story.reader.held(fresh), "a new key from there is no new peer"
    story.reader.belongs(WORKER, "own_w", NET)
    assert not story.reader.held(WORKER), "an owner with a certificate answers for itself"


def test_a_new_identity_pays_dues_and_more_where_cheats_came_from() -> None:
    story = Story()
    cheats = [author(n) for n in range(100, 106)]
    expected = [20, 40, 80, 160, 160, 160]
    for number, cheat in enumerate(cheats):
        story.reader.belongs(cheat, f"own_{number}", NET)
        assert story.reader.record(cheat).newcomer and story.reader.dues(cheat) == expected[number]
        story.says(ME, cheat, 0, 5, f"own_{number}")
        assert story.reader.held(cheat)
    elsewhere = author(300)
    story.reader.belongs(elsewhere, "own_e", "net_10.9.9")
    story.says(ME, elsewhere, 19)
    assert story.reader.record(elsewhere).newcomer
    story.says(ME, elsewhere, 3)
    assert not story.reader.record(elsewhere).newcomer and story.reader.dues(elsewhere) == RULES.newcomer_blocks


def test_the_way_back_leads_over_newcomers_terms_and_others_cannot_shorten_it() -> None:
    story = Story(FRIEND)
    story.worked(WORKER, blocks=5000)
    story.says(ME, WORKER, 0, 5)
    assert "Back on trial after 512 more entries there" in story.reader.held(WORKER)
    for _ in range(1000):
        story.says(FRIEND, WORKER, 100)
    assert story.reader.held(WORKER), "a friend's entries make no time pass"
    assert story.reader.signer(WORKER) == 0, "and while it is held its own word weighs nothing"
    story.reader.position += HOLD.rest_entries
    back = story.reader.snapshot()[WORKER]
    assert not story.reader.held(WORKER) and back.phase is Phase.TRIAL and back.newcomer
    assert story.reader.established(WORKER) == 0
    story.says(ME, WORKER, 100)
    assert story.reader.record(WORKER).phase is Phase.FREE and story.reader.established(WORKER) == 100


def test_a_proof_holds_whatever_was_thought_before_and_only_ones_own_rerun_is_one() -> None:
    story = Story(FRIEND)
    story.worked(WORKER, blocks=5000)
    assert story.reader.proven(WORKER, Cause.RERUN, Digest(b"1" * 32), FRIEND) is None, "a friend's word, to be weighed"
    assert not story.reader.held(WORKER)
    assert story.reader.proven(WORKER, Cause.RERUN, Digest(b"2" * 32), ME) is not None
    assert story.reader.held(WORKER) and story.reader.gossip_score(WORKER) == SCORE_PROVEN
    assert story.reader.proven(ME, Cause.FORK, Digest(b"3" * 32)) is None, "one's own machines are mended, not banned"
    story.says(ME, OTHER, 0, 5)
    assert story.reader.gossip_score(OTHER) == SCORE_HELD and story.reader.gossip_score(FRIEND) == 0.0


def test_a_liar_is_believed_no_longer_and_nobody_through_it() -> None:
    story = Story(FRIEND)
    story.says(FRIEND, SIGNER, 1000)
    story.says(SIGNER, WORKER, 50)
    vote = story.says(FRIEND, WORKER, 0, 50)
    assert story.reader.record(WORKER).disputed > 0 and story.reader.signer(SIGNER) > 0
    story.reader.unfounded(vote)
    assert story.reader.record(WORKER).disputed == 0
    story.reader.mute(FRIEND)
    assert story.reader.signer(FRIEND) == story.reader.signer(SIGNER) == 0
    story.reader.learn(entry(FRIEND, 2), tally(WORKER, 0, 50))
    assert story.reader.record(WORKER).disputed == 0


def test_right_blocks_in_a_row_are_counted_back_to_the_last_wrong_one() -> None:
    story = Story(FRIEND)
    story.says(FRIEND, WORKER, 1000)
    assert story.reader.established(WORKER) == 0, "by own verdicts alone"
    for agreed, wrong in ((500, 0), (40, 1), (30, 0), (25, 0)):
        story.says(ME, WORKER, agreed, wrong)
    assert story.reader.established(WORKER) == 55
    assert story.reader.established(WORKER, Counts(5, 0, 0)) == 60
    assert story.reader.established(WORKER, Counts(5, 1, 0)) == 0


def test_a_checkpoint_stands_for_entries_that_were_never_heard_and_adds_nothing_to_those_that_were() -> None:
    story = Story(FRIEND)
    story.says(FRIEND, WORKER, 30)
    head = Head(FRIEND, 0, 5, Digest(b"h" * 32))
    sums = (Sum(WORKER, OwnerId(""), 30, 0, 0), Sum(OTHER, OwnerId(""), 60, 1, 0))
    for _ in range(3):
        story.reader.learn_sums(head, Digest(b"c" * 32), sums)
    assert story.reader.record(WORKER).agreed == 15 and story.reader.record(OTHER).agreed == 30


def test_a_look_at_ten_thousand_known_workers_is_quick() -> None:
    """14 ms on an idle core with 200 workers under way; the limit leaves room for a busy one."""
    dice, story = random.Random(2), Story(FRIEND)
    workers = [NodeId(f"12D3KooW{n:044}") for n in range(10_000)]
    for worker in workers:
        story.says(ME, worker, dice.randrange(1, 99))
        story.says(dice.choice(workers), worker, 50)
    story.reader.snapshot()
    times = []
    for _ in range(9):
        for worker in dice.sample(workers, 20):
            story.says(FRIEND, worker, 5)
        pending = {worker: Counts(dice.randrange(1, 9), 0, 0) for worker in dice.sample(workers, 200)}
        began = time.process_time()
        found = story.reader.snapshot(pending)
        times.append(time.process_time() - began)
    assert len(found) == 10_000 and sorted(times)[4] < 0.5


def test_a_new_key_for_an_owner_leaves_nothing_behind() -> None:
    story = Story()
    story.reader.belongs(WORKER, "own_old")
    story.says(ME, WORKER, 0, 5, "own_old")
    assert story.reader.rotated("own_old", "own_new") and story.reader.owner_of(WORKER) == "own_new"
    story.reader.belongs(WORKER, "own_old")
    assert story.reader.held(WORKER) and story.reader.rotated("own_old", "own_new") == [], "as when all is read again"
    assert story.reader.rotated("own_new", "own_old") == [] and story.reader.owner_of(WORKER) == "own_new", "no way in a circle"
    assert story.reader.rotated("own_clean", "own_new") == [] and story.reader.held(WORKER), "nor does a clean key wash it"


def test_a_crowd_of_strangers_about_one_worker_costs_a_bounded_room() -> None:
    story = Story(FRIEND)
    story.worked(WORKER)
    story.says(FRIEND, WORKER, 10)
    story.reader.record(WORKER)
    for stranger in range(1000, 1400):
        story.says(author(stranger), WORKER, 0, 1)
    authors = {line.author for line in story.reader.why(WORKER)}
    assert len(authors) <= RULES.authors_stranger + 2 and {ME, FRIEND} <= authors
