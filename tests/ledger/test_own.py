"""An honest machine loses power, restores backups and copies folders: it is never taken for a liar."""

from __future__ import annotations

import random

from ctorrent.ledger.chain import NOTHING, Chain, ForkProof
from ctorrent.ledger.own import OwnLogs
from ctorrent.model.entry import EntryKind, SignedEntry
from ctorrent.model.ids import OwnerId, Ring, RingKind

from .logs import PUBLIC, author, entry, holding, log

ME = author(1)
SWARM = Ring(RingKind.SWARM, OwnerId("own_s"))


def test_the_first_entry_of_a_run_opens_a_log_and_the_next_ones_follow() -> None:
    chain = Chain()
    own = OwnLogs(ME, chain)
    place = own.next(PUBLIC, bytes(8))
    assert place.opens and place.seq == 1 and place.prev == NOTHING and place.names is None
    assert own.next(PUBLIC, b"\xff" * 8) == place, "until its opening entry is there, nothing moves"
    write(own, chain, PUBLIC, bytes(8))
    place = own.next(PUBLIC, bytes(8))
    assert (place.opens, place.seq) == (False, 3)


def test_rings_have_logs_of_their_own() -> None:
    chain = Chain()
    own = OwnLogs(ME, chain)
    write(own, chain, PUBLIC, bytes(8))
    write(own, chain, SWARM, bytes(8))
    assert len(chain.heads(ME)) == 2
    assert {chain.ring(ME, h.incarnation) for h in chain.heads(ME)} == {PUBLIC, SWARM}


def test_a_start_opens_a_new_log_that_names_the_last_entry_known() -> None:
    whole = log(ME, 9)
    chain = holding(whole)
    place = OwnLogs(ME, chain).next(PUBLIC, bytes(8))
    assert place.opens and place.names == chain.head(ME, 0) and place.prev == whole[-1].id


def test_a_forked_log_is_left_for_a_new_one() -> None:
    chain = Chain()
    own = OwnLogs(ME, chain)
    opening, _ = write(own, chain, PUBLIC, bytes(8))
    chain.add(entry(ME, 2, opening.id, incarnation=opening.entry.incarnation, body=b"a thief with my key"))
    place = own.next(PUBLIC, bytes(8))
    assert place.opens and place.incarnation > opening.entry.incarnation


def write(own: OwnLogs, chain: Chain, ring: Ring, entropy: bytes, body: bytes = b"") -> list[SignedEntry]:
    """What node/scribe does: open where asked, then write."""
    made = []
    place = own.next(ring, entropy)
    if place.opens:
        opening = entry(ME, 1, place.prev, incarnation=place.incarnation, kind=EntryKind.INCARNATION, ring=ring)
        made.append(opening)
        chain.add(opening)
        place = own.next(ring, entropy)
    made.append(entry(ME, place.seq, place.prev, incarnation=place.incarnation, ring=ring, body=body))
    chain.add(made[-1])
    return made


class Machine:
    """One folder's life: a journal (entries in order), a run that may end at any byte, copies of it."""

    def __init__(self, dice: random.Random, journal: list[SignedEntry], truth: list[Chain], always_on: bool = False) -> None:
        self.dice, self.journal, self.peers = dice, journal, truth
        self.chain = holding(journal)
        self.own = OwnLogs(ME, self.chain)
        for head in self.chain.heads(ME) if always_on else ():
            ring = self.chain.ring(ME, head.incarnation)
            assert ring is not None
            self.own._writing[ring] = head.incarnation

    def write(self) -> None:
        made = write(self.own, self.chain, self.dice.choice([PUBLIC, SWARM]), self.dice.randbytes(8), self.dice.randbytes(4))
        self.journal += made
        for one in made:  # gossip reaches some
            for peer in self.dice.sample(self.peers, self.dice.randrange(len(self.peers) + 1)):
                peer.add(one)


def live(seed: int, believe: bool) -> int:
    """A life of power cuts, backups and copies. Returns how many forks anyone could ever prove.

    believe: the mutant that always goes on where its journal ends.
    """
    dice = random.Random(seed)
    peers = [Chain() for _ in range(4)]
    machines = [Machine(dice, [], peers)]
    backups: list[list[SignedEntry]] = [[]]
    everything: dict[bytes, SignedEntry] = {}
    for _ in range(60):
        index = dice.randrange(len(machines))
        machine = machines[index]
        match dice.choice(["write"] * 6 + ["backup", "restore", "cut", "copy", "restart"]):
            case "write":
                machine.write()
                everything |= {e.id: e for e in machine.journal}
            case "backup":
                backups.append(machine.journal[:])
            case "restore":
                machines[index] = Machine(dice, dice.choice(backups)[:], peers, believe)
            case "cut":
                machines[index] = Machine(dice, machine.journal[: dice.randrange(len(machine.journal) + 1)], peers, believe)
            case "copy" if len(machines) < 3:
                machines.append(Machine(dice, machine.journal[:], peers, believe))
            case "restart":
                machines[index] = Machine(dice, machine.journal, peers, believe)
    judge = Chain()
    proofs = [e for one in everything.values() for e in judge.add(one) if isinstance(e, ForkProof)]
    return len(proofs)


def test_no_honest_node_is_ever_quarantined() -> None:
    assert [seed for seed in range(200) if live(seed, believe=False)] == []


def test_the_sweep_would_notice() -> None:
    assert any(live(seed, believe=True) for seed in range(200))
