"""Verdicts become few, well-evidenced entries."""

from __future__ import annotations

from ctorrent import canon
from ctorrent.ledger.tally import Counts, Observation, Tallies, evidence_leaf
from ctorrent.model.ids import Digest, JobId, OwnerId
from ctorrent.model.result import Verdict
from ctorrent.seal import digest, merkle_check, merkle_path

from .logs import PUBLIC, author

JOB, TAG, OWNER = JobId(b"j" * 32), Digest(b"t" * 32), OwnerId("own_w")


def seen(worker: int, block: int, verdict: Verdict = Verdict.AGREED) -> Observation:
    block_digest = Digest(digest("test/block", block.to_bytes(8, "big")))
    return Observation(JOB, author(worker), block_digest, Digest(b"a" * 32), Digest(b"c" * 32), verdict)


def opened() -> Tallies:
    tallies = Tallies()
    tallies.open(JOB, TAG, PUBLIC)
    return tallies


def run(blocks: int, seconds: float, liar: int | None = None) -> list:
    """`blocks` × 2 verdicts on 8 workers, evenly over `seconds`; the caller looks whenever it is told to."""
    tallies, made = opened(), []
    for block in range(blocks):
        now = seconds * block / blocks
        for worker in (block % 8, (block + 1 + block // 8 % 7) % 8):
            verdict = Verdict.DISPUTED if worker == liar and block % 5 == 0 else Verdict.AGREED
            tallies.record(seen(worker, block, verdict), OWNER, "cpu", now)
        while (wake := tallies.wake_at) is not None and wake <= now:
            made += [(now, due) for due in tallies.due(now)]
    return made + [(seconds, due) for due in tallies.close(JOB, seconds)]


def test_ten_thousand_blocks_make_at_most_fifty_entries() -> None:
    for seconds in (4.0, 60.0, 600.0, 3600.0):
        made = run(10_000, seconds)
        assert len(made) <= 50, (seconds, len(made))
        assert sum(due.tally.agreed for _, due in made) == 20_000
    assert len(run(10_000, 120.0, liar=3)) <= 50


def test_never_two_within_thirty_seconds_but_at_the_end() -> None:
    last: dict = {}
    for now, due in run(2_000, 900.0, liar=3):
        if due.tally.worker in last and now < 900.0:
            assert now - last[due.tally.worker] >= 30.0
        last[due.tally.worker] = now


def test_bad_news_does_not_wait_for_the_long_intervals() -> None:
    tallies = opened()
    for now in (0.0, 30.0):
        tallies.record(seen(1, int(now)), OWNER, "cpu", now)
    assert len(tallies.due(30.0)) == 1
    tallies.record(seen(1, 100), OWNER, "cpu", 31.0)
    assert tallies.wake_at == 30.0 + 120.0
    tallies.record(seen(1, 101, Verdict.INVALID), OWNER, "cpu", 32.0)
    assert tallies.wake_at == 60.0
    assert tallies.due(59.0) == []
    (due,) = tallies.due(60.0)
    assert (due.tally.agreed, due.tally.disputed, due.tally.invalid) == (1, 0, 1)
    assert tallies.wake_at is None


def test_every_verdict_has_a_path_to_the_root() -> None:
    tallies = opened()
    observations = [seen(1, n) for n in range(11)]
    for one in observations:
        tallies.record(one, OWNER, "cpu", 0.0)
    assert tallies.pending() == {author(1): Counts(11, 0, 0)}
    (due,) = tallies.close(JOB, 1.0)
    leaves = [bytes(leaf) for leaf in due.leaves]
    for index, one in enumerate(observations):
        assert merkle_check(due.tally.evidence_root, evidence_leaf(one), merkle_path(leaves, index))
    assert tallies.close(JOB, 2.0) == [] and tallies.pending() == {}


def test_the_leaf_is_what_its_page_says() -> None:
    one = seen(1, 5, Verdict.DISPUTED)
    words = canon.encode([bytes(one.block), b"a" * 32, str(author(1)), b"c" * 32, 2])
    assert evidence_leaf(one) == digest("ctorrent/evidence/1", words)
