"""What others voted against this node, and what it answered: for its owner to see, and for whoever asks it.

A vote against this node is looked into like any other; what its author shows is laid beside what this node signed. The same
answer in both: the two differ about the block, and a run of it decides. Another answer under this node's own signature:
then somebody else signs with its key, or it runs twice from a copied folder. A second answer of another worker, shown by
itself, proves that worker's equivocation.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import trio

from ctorrent.errors import CTorrentError, PeerError
from ctorrent.ledger.evidence import Vote
from ctorrent.model.entry import Proof, ProofKind, SignedEntry
from ctorrent.model.evidence import AskDefence, Shown
from ctorrent.model.ids import Digest, NodeId
from ctorrent.node.exhibits import differing, open_defence
from ctorrent.node.proofs import Notary
from ctorrent.node.renown import Renown
from ctorrent.node.signed import Signed
from ctorrent.node.witness import Leaf, Standing, Witness
from ctorrent.node.world import World
from ctorrent.seal import Sealed
from ctorrent.wire import codec

log = logging.getLogger(__name__)

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DefenceRules:
    votes_max: int = 256  # against this node, shown to its owner: the latest of them
    asks_max: int = 64  # accused that are still to be asked what they answered
    look_s: float = 10.0
    tidy_s: float = 60.0  # between two looks at how much this node's own signed results take


@dataclass(slots=True)
class _Against:
    """One negative vote about this node."""

    author: NodeId
    vote: Vote
    issued_unix_s: int
    leaf: Leaf | None = None
    mine: Shown | None = None


class Defence:
    """One per node."""

    def __init__(
        self, world: World, witness: Witness, notary: Notary, signed: Signed, renown: Renown, rules: DefenceRules = DefenceRules()
    ) -> None:  # fmt: skip
        self.renown = renown
        self._world, self._witness, self._notary, self._signed, self._rules = world, witness, notary, signed, rules
        self._against: dict[Digest, _Against] = {}
        self._asks: list[Leaf] = []
        witness.on_proven(self._shown)

    def learn(self, signed: SignedEntry) -> None:
        """Take note of a tally that says something bad about this node, as the book's learner of them."""
        tally = codec.decode_tally(signed.entry.body)
        self.renown.learn(signed, tally)
        vote = Vote(signed.entry.author, signed.entry.ring, tally)
        if tally.worker != self._world.node or vote.author == self._world.node or not vote.negatives:
            return
        self._against[signed.id] = _Against(vote.author, vote, signed.entry.issued_unix_s)
        while len(self._against) > self._rules.votes_max:
            del self._against[next(iter(self._against))]

    def _shown(self, leaf: Leaf) -> None:
        if leaf.proven.worker == self._world.node:
            against = self._against.get(leaf.signed.id)
            if against is not None:
                against.leaf, against.mine = leaf, self._signed.answer(leaf.proven.assignment, leaf.proven.block)
        elif len(self._asks) < self._rules.asks_max:
            self._asks.append(leaf)

    async def run(self) -> None:
        """Ask the accused for their side, and keep what this node signed within its limits."""
        tidied = self._world.clock.now()
        while True:
            await trio.sleep(self._rules.look_s)
            if self._world.clock.now() - tidied >= self._rules.tidy_s:
                tidied = self._world.clock.now()
                await self._signed.tidy()
            asks, self._asks = self._asks, []
            for leaf in asks:
                await self._ask(leaf)

    async def _ask(self, leaf: Leaf) -> None:
        """What does the accused itself say that it answered? A second answer under its own signature is a proof."""
        worker, assignment, block = leaf.proven.worker, leaf.proven.assignment, leaf.proven.block
        contact = self._world.directory.contact(worker)
        if contact is None or not contact.connected:
            return
        try:
            told = (await self._witness.ask(worker, [AskDefence(assignment, block)]))[0]
            if not isinstance(told, Shown):
                return
            mine = open_defence(told, worker, assignment, block)
        except (CTorrentError, PeerError) as error:
            log.info("%s does not say what it answered: %s", worker, error.message)
            return
        both: tuple[Sealed, Sealed] = (leaf.evidence.said.accused.result, told.result)
        proof = Proof(ProofKind.EQUIVOCATION, worker, both)
        if differing(leaf.evidence.accused, mine, proof):
            self._notary.found(leaf.vote.ring, proof, now=True)

    # -- for its owner ------------------------------------------------------------------------------------------------

    def rows(self) -> list[Plain]:
        """Votes against this node, latest last: who, how many, what was shown, and what this node had answered."""
        return [self._row(entry, against) for entry, against in self._against.items()]

    def _row(self, entry: Digest, against: _Against) -> Plain:
        found = self._witness.found.get(entry)
        standing = Standing.WAITS if found is None else found.standing
        proven = None if against.leaf is None else against.leaf.proven
        return {
            "entry": entry.hex(), "author": against.author, "disputed": against.vote.tally.disputed,
            "invalid": against.vote.tally.invalid, "issued_unix": against.issued_unix_s, "standing": standing.name.lower(),
            "words": _words(standing, against), "block": proven.content.index if proven is not None and proven.content is not None else None,
            "answered": proven.output.hex() if proven is not None else "",
            "others": [{"worker": one.worker, "answered": one.output.hex()} for one in proven.against] if proven is not None else [],
        }  # fmt: skip


def _words(standing: Standing, against: _Against) -> str:
    if against.leaf is not None and against.mine is None:
        return "it shows an answer of this node that this node did not keep: it is too old, or the key is used elsewhere too"
    if against.leaf is not None and against.mine is not None and against.mine.result.body != against.leaf.evidence.said.accused.result.body:
        return "it shows an answer that this node did not give, under its key: somebody else has the key, or a copied folder runs"
    return {
        Standing.WAITS: "it was not asked for its evidence yet",
        Standing.PROVEN: "this node's answer was another than those of others",
        Standing.TESTIMONY: "this node gave the answer; that it was wrong is the voter's word",
        Standing.REFUTED: "what it shows does not carry the vote",
        Standing.WITHHELD: "it was asked, and shows nothing",
        Standing.RIGHT: "this node ran the block again itself, and its answer was wrong",
        Standing.FALSE: "this node ran the block again itself, and its answer was right",
    }[standing]
