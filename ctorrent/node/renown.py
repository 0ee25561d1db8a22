"""How this owner stands with others, as far as the ledger held here tells: their own tallies, and proofs.

Whom a node refuses is its own affair, and it tells nobody. But it concludes that from its own tallies, and those it publishes:
the same sum over them (ledger/quarantine.py) says here what it says there, but for entries that this node never held.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ctorrent.ledger.quarantine import Case, Phase, Quarantine
from ctorrent.ledger.trust_rules import QuarantineRules
from ctorrent.model.entry import ProofKind, SignedEntry, Tally
from ctorrent.model.ids import NodeId
from ctorrent.node.proofs import Convicted, Notary, Place, place_of
from ctorrent.node.scribe import Scribe
from ctorrent.node.world import World

_PROVEN = {
    ProofKind.FORK: "signed two ledger entries for one place",
    ProofKind.EQUIVOCATION: "signed two results for one assignment",
}


@dataclass(frozen=True, slots=True)
class RenownRules:
    authors_max: int = 1024  # with tallies about this owner's nodes: more requesters than one machine serves in years
    proofs_max: int = 64
    shown_max: int = 8  # lines: a person reads no more, and strangers may write what they like


class Renown:
    """One per node. call: what a node or an owner is called here."""

    def __init__(self, world: World, scribe: Scribe, notary: Notary, rules: RenownRules = RenownRules()) -> None:
        self._world, self._scribe, self._rules = world, scribe, rules
        self._quarantine = Quarantine(QuarantineRules(owners_max=rules.authors_max))
        self._said: dict[NodeId, tuple[int, int]] = {}  # by author: right, wrong
        self._proofs: dict[Place, ProofKind] = {}
        notary.on(self._convicted, lambda author, entry: None)

    def learn(self, signed: SignedEntry, tally: Tally) -> None:
        """Any tally, in its log's order."""
        author, world = signed.entry.author, self._world
        if author == world.node or not (tally.worker == world.node or (world.owner and tally.worker_owner == world.owner)):
            return
        wrong = tally.disputed + tally.invalid
        before = self._said.pop(author, (0, 0))
        self._said[author] = (before[0] + tally.agreed, before[1] + wrong)
        while len(self._said) > self._rules.authors_max:
            del self._said[next(iter(self._said))]
        self._quarantine.verdicts(author, tally.agreed, wrong, self._position(author))

    def _convicted(self, found: Convicted) -> None:
        proof, mine = found.proof, self._scribe.trust.reputation.owner_of
        if proof.kind in _PROVEN and mine(proof.accused) == mine(self._world.node) and len(self._proofs) < self._rules.proofs_max:
            self._proofs[place_of(proof)] = proof.kind

    def _position(self, author: NodeId) -> int:
        """Its entries that are known here: the clock that its quarantine goes by."""
        return sum(head.seq for head in self._scribe.book.chain.heads(author))

    # -- for its owner ------------------------------------------------------------------------------------------------

    def words(self, call: Callable[[str], str]) -> list[str]:
        """A sentence for each that holds something against this owner, with the way back; then the others' figures, in one."""
        lines = [self._proof(node, kind) for (_, node, _), kind in self._proofs.items()]
        cases = [(case, case.phase(self._position(NodeId(case.owner)))) for case in self._quarantine.cases()]
        own = self._scribe.trust.reputation.owner_of(self._world.node)
        bad = {NodeId(case.owner): _case(self._name(case.owner, call), case, phase, self._position(NodeId(case.owner)), self._quarantine.rules)
               for case, phase in cases if phase is not Phase.FREE and self._scribe.trust.reputation.owner_of(NodeId(case.owner)) != own}  # fmt: skip
        lines += bad.values()
        if len(lines) > self._rules.shown_max:
            lines[self._rules.shown_max :] = [f"{len(lines) - self._rules.shown_max:,} more like these."]
        rest = [said for author, said in self._said.items() if author not in bad and said[1]]
        if rest:
            right, wrong = (sum(said[at] for said in rest) for at in (0, 1))
            lines.append(f"{'1 node' if len(rest) == 1 else f'{len(rest):,} nodes'} found {wrong:,} of {right + wrong:,} blocks of yours wrong; no reason to refuse you, by the rules that nodes start with.")
        return lines

    def _proof(self, node: NodeId, kind: ProofKind) -> str:
        whose = "this node" if node == self._world.node else f"your node {node[-8:]}"
        rest = self._quarantine.rules.rest_proven
        return (
            f"There is a proof in the ledger that {whose} {_PROVEN[kind]}. Whoever reads it refuses your nodes' bids until {rest:,} more "
            "entries are in its own ledger. Two copies of one data folder do this: let only one run."
        )

    def _name(self, author: str, call: Callable[[str], str]) -> str:
        name = call(author)
        return f"{name} ({author[-8:]})" if name else f"Node {author[-8:]}"


def _case(who: str, case: Case, phase: Phase, at: int, rules: QuarantineRules) -> str:
    wrong, checked = case.blame
    why = f"{wrong:,.0f} of the last {checked:,.0f} blocks of yours that it checked were wrong"
    if phase is Phase.TRIAL:
        return f"{who} has your nodes on trial: {case.trial_right:,.0f} of {rules.trial_blocks:,.0f} right blocks since their return ({why})."
    return (
        f"{who} refuses your nodes' bids, by its own ledger: {why}. On trial after {case.until - at:,} more entries there, "
        f"which its own jobs write; {rules.trial_blocks:,.0f} right blocks end the trial."
    )
