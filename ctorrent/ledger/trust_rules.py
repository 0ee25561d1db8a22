"""Every number behind trust, reputation and quarantine, and why that number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrustRules:
    """How far a signer's word reaches: this node 1, a friend `friend`, whoever works well for them a little."""

    friend: float = 0.5  # per owner, whatever number of nodes signs: half of one's own experience
    damping: float = 0.25  # of trust passed on a step: all signers that are no friends weigh at most a third of those who are
    hesitation_blocks: float = 100.0  # of nobody's, in each giver's sum: one good block passes on a hundredth, not all
    wrong_weight: float = 10.0  # a giver that finds more than one wrong in eleven passes no trust on
    edge_blocks_max: float = 1000.0  # one worker that does everything must not crowd out all others
    rounds_max: int = 24  # 0.25^24 is below any double's last digit of what matters here
    settled: float = 1e-7  # the vector's largest change in a round that ends the iteration


@dataclass(frozen=True, slots=True)
class ReputationRules:
    """How testimony becomes a number."""

    decay: float = 0.97  # per later entry of the same author on the same worker: 23 entries halve it
    testimonies_max: int = 128  # kept per author and worker: 0.97^128 = 2 %
    testimonies_total: int = 1 << 18  # 50 MB at the very worst; strangers' go first, those unheard of longest before others
    pairs_max: int = 1 << 17  # (author, worker): 10,000 authors of ten workers each, and some
    pairs_stranger: int = 1024  # of one author outside all trust: more workers than an honest one has in a month
    authors_stranger: int = 64  # about one worker, outside all trust: what they say weighs nothing as it is
    workers_max: int = 65536  # remembered; the longest unheard of by anybody trusted gives way
    confidence: float = 0.95  # one-sided: a bound that one honest worker in twenty falls below
    newcomer_blocks: float = 20.0  # own and friends' blocks below which a worker is always replicated: a new key's dues
    dues_doublings: int = 3  # the dues double for each quarantined owner of the same network, at most to 160 blocks
    said_max: float = 200.0  # blocks that one owner's word about one worker stands for, whatever it claims
    others_max: float = 100.0  # blocks that all others' words together stand for; fewer as own experience grows
    alone_max: float = 2.0  # wrong blocks that one friend's complaint stands for while nobody else complains
    unfounded_max: int = 16384  # tallies without their evidence, and liars, remembered: as many as a witness keeps
    rotations_max: int = 16  # changes of an owner's key that are followed
    stale_share: float = 0.005  # of new edges after which trust is worked out anew: 10,000 authors take 10 ms
    consecutive_max: int = 10_000  # an audit rate of 1/10,000 is below every floor


@dataclass(frozen=True, slots=True)
class QuarantineRules:
    """A running sum per owner: `wrong` up for each wrong block, 1 down for each right one, never below 0 (CUSUM).

    Who is wrong once in 500 blocks gets to `held_at` within 10,000 with a probability of 4e-6 (tests/ledger computes it
    exactly); always wrong, after 5 blocks; 30 % of the time, after 18; 5 %, after some 160; 2 %, within 2,000 four times in five. Below that it does not
    grow. Unlike a share over the whole past, a long good name buys no wrong blocks.
    """

    wrong: float = 50.0  # the sum stands still at one wrong in 51: ten times what honest machines do
    held_at: float = 250.0  # five wrong in a row
    rest_entries: int = 512  # entries that this node writes before the first return: one large job, or a dozen small ones
    rest_proven: int = 4096  # after a proof: nothing was left to chance there
    rest_max: int = 1 << 20  # doubling ends here: a log's own limit
    trial_blocks: float = 100.0  # right ones after the return, at a newcomer's terms, before the owner is as any other
    trial_held_at: float = 100.0  # on trial two wrong in a row are enough
    owners_max: int = 65536  # with a sum above 0 or a case; those with no case give way first
    ids_max: int = 32  # of proofs remembered per case, so that an old one told again is no new one
    friends_alpha: float = 1e-6  # by chance, at friends_rate, would a friend's figures be this bad? for two of them at once
    friends_rate: float = 0.01  # five times an honest machine's
