"""What this node concludes about others from the entries it holds; never a global number.

Two things are kept apart. A *worker's record* is a Beta lower bound on its share of right blocks. A *signer's trust*
is how much its word about workers weighs: 1 for this owner's own nodes, a half for a friend's, whatever flows along
verified work to others (eigentrust.py), and 0 for everybody else, good or bad.

    own verdicts       weigh in full, and nobody else's move a worker that one knows well: others' words together stand
                       for 100 blocks at most, half that once 100 of one's own are there, and so on
    praise             weighs with its signer's trust; one owner's word stands for 200 blocks at most, whatever it says
    a complaint        weighs no more than the next-largest one of another witness: this node, a friend, or somebody whose
                       own work was verified here. A friend's alone stands for 2 blocks, anybody else's alone for none;
                       those of signers whom only others brought in, together, for the second-largest of witnesses.
                       But for a friend's it weighs nothing before its evidence was seen (`shown`)
    newcomer           until own and friends' verdicts make its dues; nobody else's praise shortens them
    quarantine         by own verdicts, by proof (quarantine.py), or by two friends' figures while there are no own

Source of the bound: Jøsang and Ismail, "The Beta Reputation System", Bled 2002.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from ctorrent.ledger.beta import binomial_tail
from ctorrent.ledger.eigentrust import EigenTrust, Step
from ctorrent.ledger.quarantine import Blame, Case, Cause, Phase, Quarantine, describe
from ctorrent.ledger.tally import Counts
from ctorrent.ledger.testimony import Heard, Testimonies
from ctorrent.ledger.trust_rules import ReputationRules, TrustRules
from ctorrent.ledger.weighing import Record, Said, Testimony, weigh
from ctorrent.model.entry import Head, SignedEntry, Sum, Tally
from ctorrent.model.ids import Digest, NodeId

Snapshot = Mapping[NodeId, Record]

SCORE_PROVEN, SCORE_HELD = -100.0, -20.0  # GossipSub's application score: see net/rules.py


class Reputation:
    """Testimony by worker, and what follows. `position`: this node's own entries so far; its owner keeps it up to date.

    trust: how much each friend's word counts, by owner (or by node, for one whose owner is not known), 0..1.
    """

    def __init__(
        self, me: NodeId, trust: Mapping[str, float] | None = None, rules: ReputationRules | None = None,
        trust_rules: TrustRules | None = None, quarantine: Quarantine | None = None,
    ) -> None:  # fmt: skip
        self.me = me
        self.position = 0
        self.rules = rules or ReputationRules()
        self.quarantine = quarantine or Quarantine()
        self._flow = EigenTrust(trust_rules)
        self._said = Testimonies(me, self.rules, self._changed)
        self._owners: dict[NodeId, str] = {}
        self._networks: dict[NodeId, str] = {}
        self._nodes: dict[str, dict[NodeId, None]] = {}
        self._forks: dict[NodeId, int] = {}
        self._friends: dict[str, float] = {}
        self._weights: dict[str, float] = {}
        self._witnesses: frozenset[str] = frozenset()
        self._records: dict[NodeId, Record] = {}
        self._dirty: dict[NodeId, None] = {}
        self._unfounded: dict[Digest, None] = {}
        self._void: set[Digest] = set()  # own, and as few as jobs that wavered
        self._muted: dict[NodeId, None] = {}
        self._rotated: dict[str, str] = {}  # owners' old keys -> new
        self._unsolved = True
        self._phases = (-1, 0)  # quarantine's version, and the position at which a phase may change next
        if trust is not None:
            self.trust(trust)

    # -- what is known of peers ---------------------------------------------------------------------------------------

    def trust(self, friends: Mapping[str, float]) -> None:
        """Replace whom this node believes by name. Takes effect at the next look."""
        if any(not 0.0 <= weight <= 1.0 for weight in friends.values()):
            raise ValueError("trust is a number from 0 to 1")
        named = {self._now(owner): weight for owner, weight in friends.items()}
        if named != self._friends:
            self._friends, self._unsolved = named, True

    def belongs(self, node: NodeId, owner: str = "", network: str = "") -> None:
        """What this node itself saw: a certificate of `owner` ("": none), and the network that a node comes from.

        Nodes without a certificate are one owner a network when it comes to blame, each for itself when it comes to merit.
        """
        if network and self._networks.get(node) != network:
            self._networks[node] = network
            self._dirty[node] = None
        old, owner = self._owners.get(node, ""), self._now(owner)
        if not owner or old == owner:
            return
        if old:
            self._nodes[old].pop(node, None)
        self._owners[node] = owner
        self._nodes.setdefault(owner, {})[node] = None
        self._unsolved = True
        self._dirty[node] = None
        while len(self._owners) > 2 * self.rules.workers_max:
            gone = next(iter(self._owners))
            self._nodes[self._owners.pop(gone)].pop(gone, None)
        while len(self._networks) > 2 * self.rules.workers_max:
            del self._networks[next(iter(self._networks))]

    def owner_of(self, node: NodeId) -> str:
        """Its certified owner; the node itself where none is known."""
        return self._owners.get(node, node)

    def blamed(self, node: NodeId) -> str:
        """Who answers for it in quarantine: its owner, or for one without a certificate its network."""
        return self._owners.get(node) or self._networks.get(node) or node

    # -- entries ------------------------------------------------------------------------------------------------------

    def learn(self, signed: SignedEntry, tally: Tally) -> None:
        """Take in an accepted TALLY entry, own or another's. A signer's word about itself is not kept."""
        entry = signed.entry
        if signed.id in self._unfounded or signed.id in self._void:
            return
        counts = Counts(tally.agreed, tally.disputed, tally.invalid)
        self._hear(entry.author, tally.worker, Heard(entry.incarnation, entry.seq, signed.id, counts))

    def learn_sums(self, head: Head, entry: Digest, sums: Iterable[Sum]) -> None:
        """A CHECKPOINT: what its author's log said up to `head`, where the entries themselves were not heard here.

        entry: the checkpoint's own id. Sums stand for their log as one tally: how old each verdict is, they do not say.
        """
        for one in sums:
            if head.author == self.me and one.worker_owner:
                self.belongs(one.worker, one.worker_owner)
            pair = self._said.pair(head.author, one.worker)
            if pair is not None and any(h.incarnation == head.incarnation and h.seq <= head.seq for h in pair.heard):
                continue
            counts = Counts(one.agreed, one.disputed, one.invalid)
            self._hear(head.author, one.worker, Heard(head.incarnation, head.seq, entry, counts, True))

    def forked(self, author: NodeId, incarnation: int, seq: int) -> None:
        """A proven fork: the author's testimony from there on is forgotten. Its quarantine is `proven`."""
        self._forks[author] = self._forks.get(author, 0) + 1
        self._dirty[author] = None
        self._said.cut(author, incarnation, seq)

    def shown(self, entry: Digest) -> None:
        """A vote's evidence was seen: the worker's signed result over a block of the job. Its complaint may weigh now."""
        self._said.show(entry)

    def unfounded(self, entry: Digest) -> None:
        """A tally whose evidence was asked for and does not hold: it counts no longer, nor when it is heard again."""
        self._said.forget(entry)
        self._unfounded[entry] = None
        while len(self._unfounded) > self.rules.unfounded_max:
            del self._unfounded[next(iter(self._unfounded))]

    def void(self, entry: Digest) -> None:
        """A tally of this node's own, taken back: likewise."""
        self._said.forget(entry)
        self._void.add(entry)

    def mute(self, author: NodeId) -> None:
        """It signed what it cannot have believed: its owner's word weighs nothing from now on, and nobody's through it."""
        if self.owner_of(author) != self.owner_of(self.me) and author not in self._muted:
            self._muted[author] = None
            self._unsolved = True
            while len(self._muted) > self.rules.unfounded_max:
                del self._muted[next(iter(self._muted))]

    # -- quarantine ---------------------------------------------------------------------------------------------------

    def judge(self, tally: Tally) -> Case | None:
        """This node's own tally, when it is written, and once: never on a replay. -> the case to keep beside it, if any."""
        owner = self._answers_for(tally)
        if owner == self.owner_of(self.me):
            return None  # one's own machines are mended, not banned
        wrong = tally.disputed + tally.invalid
        return self.quarantine.verdicts(owner, tally.agreed, wrong, self.position, self._seen_in(owner, tally.worker))

    def blame(self, tally: Tally) -> Blame | None:
        """What `judge` will count against whom for this tally; None: nothing."""
        owner, wrong = self._answers_for(tally), tally.disputed + tally.invalid
        term = self.quarantine.term(owner, self.position, False)
        return Blame(owner, term, self.position, wrong) if wrong and term is not None else None

    def blame_proven(self, accused: NodeId, proof: Digest) -> Blame:
        """What `proven` will hold against whom for a proof of this node's own."""
        owner = self.blamed(accused)
        return Blame(owner, self.quarantine.term(owner, self.position, True) or 0, self.position, proof=proof)

    def withdrawn(self, votes: Iterable[Digest], blames: Iterable[Blame]) -> list[Case]:
        """Own tallies that count no longer, and what this node holds against owners for nothing. -> the cases to keep."""
        for entry in votes:
            self.void(entry)
        whole: dict[tuple[str, int], list[Blame]] = {}
        for one in blames:
            whole.setdefault((self._now(one.owner), one.term), []).append(one)
        last_first = sorted(whole.items(), key=lambda pair: pair[0], reverse=True)
        found = [self.quarantine.relieved(owner, term, parts, self.position) for (owner, term), parts in last_first]
        return [case for case in found if case is not None]

    def _answers_for(self, tally: Tally) -> str:
        return self._now(tally.worker_owner) or self.blamed(tally.worker)

    def proven(self, accused: NodeId, cause: Cause, proof: Digest, author: NodeId | None = None) -> Case | None:
        """A checked proof. -> the case to keep, if it is news.

        proof: a digest of what it consists of, the same whoever tells it. FORK and EQUIVOCATION prove themselves; RERUN is
        its author's word, and counts when that is this node.
        """
        if cause is Cause.RERUN and author != self.me:
            return None
        owner = self.blamed(accused)
        if owner == self.owner_of(self.me):
            return None
        return self.quarantine.proven(owner, cause, proof, self.position, self._seen_in(owner, accused))

    def rotated(self, old: str, new: str) -> list[Case]:
        """Both keys signed that they are one owner's: its nodes, and what is held against it, go with it. -> cases to keep."""
        if old == new or self._now(new) == old or old in self._rotated:
            return []  # of two claims the first one heard binds: whoever stole a key can sign another
        self._rotated[old] = new
        while len(self._rotated) > self.rules.workers_max:
            del self._rotated[next(iter(self._rotated))]
        for node in self.nodes_of(old):
            self.belongs(node, new)
        return [] if new == self.owner_of(self.me) else self.quarantine.renamed(old, new)

    def held(self, node: NodeId) -> str:
        """Why a node is refused, since when, and its way back, in words; "" when it is welcome."""
        case = self.quarantine.case(self.blamed(node))
        if case is not None and case.phase(self.position) is Phase.HELD:
            return describe(case, self.position)
        friends = self._friends_hold(node)
        return f"{len(friends)} friends found it wrong too often" if friends else ""

    def gossip_score(self, node: NodeId) -> float:
        """GossipSub's application score. Cheap: it is asked for each neighbour at each heartbeat."""
        case = self.quarantine.case(self.blamed(node))
        if case is not None and case.phase(self.position) is Phase.HELD:
            return SCORE_HELD if case.cause is Cause.RATE else SCORE_PROVEN
        return 0.0  # no bonus for anybody: a mesh of friends alone would be an island

    def dues(self, node: NodeId) -> float:
        """Right blocks after which a node is no newcomer: more where quarantined owners came from."""
        doublings = min(self.rules.dues_doublings, self.quarantine.owners_of(self._networks.get(node, "")))
        return self.rules.newcomer_blocks * float(1 << doublings)

    def established(self, node: NodeId, pending: Counts | None = None) -> int:
        """Right blocks in a row, by this owner's own verdicts: BOINC's "consecutive valid", for audit rates at a job's start.

        Counted back from the newest tally to the last that holds anything wrong, whose own right blocks do not count, since
        their order is not known. 0 for newcomers, and for an owner held or on trial. pending: verdicts in no tally yet.
        """
        if self.quarantine.phase(self.blamed(node), self.position) is not Phase.FREE or (pending and _wrong(pending)):
            return 0
        runs = [pending.agreed if pending else 0]
        clean = True
        for author in sorted(self._said.about(node)):
            if self.owner_of(author) != self.owner_of(self.me):
                continue
            for said in reversed(self._said.about(node)[author].heard):
                if _wrong(said.counts):
                    clean = False
                    break
                runs.append(said.counts.agreed)
        total = min(self.rules.consecutive_max, sum(runs))
        return total if clean or total >= self.rules.newcomer_blocks else 0

    # -- what follows -------------------------------------------------------------------------------------------------

    def snapshot(
        self, pending: Mapping[NodeId, Counts] | None = None, nodes: Iterable[NodeId] | None = None
    ) -> Snapshot:
        """Records, frozen: everyone's, or those of `nodes` alone, of whom nothing need be known.

        pending: own verdicts that no tally holds yet (`Tallies.pending()`). Only what changed is worked out again; trust
        itself once a two-hundredth of its edges changed.
        """
        self._flip()
        self._solve(self.rules.stale_share)
        pending = pending or {}
        if nodes is not None:
            return MappingProxyType({node: self._current(node, pending.get(node)) for node in nodes})
        for worker in list(self._dirty):
            self._settle(worker)
        records = dict(self._records)
        for worker, counts in pending.items():
            records[worker] = self._record(worker, counts)
        return MappingProxyType(records)

    def record(self, worker: NodeId, pending: Counts | None = None) -> Record:
        """One worker's record; a newcomer's for one never heard of."""
        self._flip()
        self._solve(0.0)
        return self._current(worker, pending)

    def why(self, worker: NodeId, pending: Counts | None = None) -> list[Testimony]:
        """The entries behind a record and what each weighs: own first, then the heaviest signer, newest first within."""
        self._solve(0.0)
        return self._weighed(worker, pending)[1]

    def signer(self, node: NodeId) -> float:
        """How much a node's word weighs here, 0..1."""
        self._solve(0.0)
        return self._weights.get(self.owner_of(node), 0.0)

    def heeds(self, node: NodeId) -> bool:
        """Did a node's word weigh anything when trust was last worked out? Costs nothing."""
        return self._weights.get(self.owner_of(node), 0.0) > 0.0

    def path(self, node: NodeId) -> list[Step]:
        """How trust comes to a signer: from oneself or a friend, step by step; [] when none does."""
        self._solve(0.0)
        return self._flow.path(self.owner_of(node))

    def _now(self, owner: str) -> str:
        """The key that an owner has now."""
        for _ in range(self.rules.rotations_max):
            if owner not in self._rotated:
                break
            owner = self._rotated[owner]
        return owner

    def nodes_of(self, owner: str) -> list[NodeId]:
        return sorted(self._nodes.get(owner, ()))

    def _hear(self, author: NodeId, worker: NodeId, said: Heard) -> None:
        if worker == author and author != self.me:
            return
        pair = self._said.add(author, worker, said)
        self._flow.edge(author, worker, pair.right, pair.wrong)
        self._dirty[worker] = None

    def _changed(self, author: NodeId, worker: NodeId) -> None:
        pair = self._said.pair(author, worker)
        self._dirty[worker] = None
        if pair is None:
            self._flow.drop(author, worker)
        else:
            self._flow.edge(author, worker, pair.right, pair.wrong)

    def _solve(self, share: float) -> None:
        """Work trust out anew when enough changed."""
        if not self._unsolved and (not self._flow.stale or self._flow.stale < share * len(self._flow)):
            return
        mine = self.owner_of(self.me)
        roots = {**self._friends, mine: 1.0}
        trust = self._flow.solve(roots, self.owner_of, self._barred())
        fresh = {owner: min(1.0, weight) for owner, weight in trust.items()}
        witnesses = frozenset({*roots, *self._flow.workers_of(mine)})
        moved = [o for o in {**self._weights, **fresh} if not _near(self._weights.get(o, 0.0), fresh.get(o, 0.0))]
        moved += [owner for owner in sorted(witnesses ^ self._witnesses) if owner not in moved]
        self._weights, self._witnesses, self._unsolved = fresh, witnesses, False
        for owner in moved:
            for author in self._authors(owner):
                for worker in self._said.of(author):
                    self._dirty[worker] = None
        self._said.value(frozenset(author for owner in fresh for author in self._authors(owner) if author != self.me))

    def _barred(self) -> set[str]:
        """Owners who lied as signers, and workers in quarantine; a friend with a broken machine may still speak."""
        held = [case for case in self.quarantine.cases() if case.phase(self.position) is Phase.HELD]
        owners = {case.owner for case in held if case.cause is not Cause.RATE or case.owner not in self._friends}
        return owners | {self.owner_of(author) for author in self._muted}

    def _authors(self, owner: str) -> Iterable[NodeId]:
        return self._nodes.get(owner) or (NodeId(owner),)

    def _flip(self) -> None:
        """Cases changed, or a rest ended: the records of all whom that concerns are stale."""
        version, flips = self._phases
        if version == self.quarantine.version and self.position < flips:
            return
        cases = self.quarantine.cases()
        self._unsolved = self._unsolved or bool(cases)
        for case in cases:
            for node in [*self._authors(case.owner), *self._in(case)]:
                self._dirty[node] = None
        flips = min((case.until for case in cases if case.until > self.position), default=1 << 62)
        self._phases = (self.quarantine.version, flips)

    def _current(self, worker: NodeId, pending: Counts | None) -> Record:
        if worker in self._dirty:
            self._settle(worker)
        return self._record(worker, pending) if pending else self._records.get(worker) or self._record(worker, None)

    def _settle(self, worker: NodeId) -> None:
        """Bring one record up to date."""
        self._dirty.pop(worker, None)
        if self._said.about(worker) or worker in self._forks or self.quarantine.case(self.blamed(worker)):
            self._records[worker] = self._record(worker, None)
        else:
            self._records.pop(worker, None)

    def _in(self, case: Case) -> list[NodeId]:
        """Known nodes of the networks that a case names, and of the one that it is about."""
        networks = frozenset((*case.networks, case.owner))
        return [node for node, network in self._networks.items() if network in networks]

    def _record(self, worker: NodeId, pending: Counts | None) -> Record:
        return self._weighed(worker, pending)[0]

    def _weighed(self, worker: NodeId, pending: Counts | None) -> tuple[Record, list[Testimony]]:
        mine, owner = self.owner_of(self.me), self.owner_of(worker)
        said = []
        for author, pair in self._said.about(worker).items():
            signer = self.owner_of(author)
            if signer != owner or signer == mine:
                said.append(Said(author, signer, self._weights.get(signer, 0.0), pair))
        phase = self.quarantine.phase(self.blamed(worker), self.position)
        if phase is Phase.FREE and self._friends_hold(worker):
            phase = Phase.HELD
        return weigh(
            self.me, mine, said, pending, self._witnesses, self._friends, self.rules, self.dues(worker), phase,
            self._forks.get(worker, 0), self._said.was_shown,
        )  # fmt: skip

    def _friends_hold(self, node: NodeId) -> list[str]:
        """Friends by whose figures a node is wrong too often: two of them at least, and no experience of one's own."""
        about = self._said.about(node)
        own = self._said.pair(self.me, node)
        if len(about) < 2 or (own is not None and own.right + own.wrong >= self.rules.newcomer_blocks):
            return []
        sums: dict[str, tuple[float, float]] = {}
        for author, pair in about.items():
            signer = self.owner_of(author)
            if signer in self._friends and signer != self.owner_of(node):
                right, wrong = sums.get(signer, (0.0, 0.0))
                sums[signer] = (right + pair.right, wrong + pair.wrong)
        rules = self.quarantine.rules
        bad = [
            signer for signer, (right, wrong) in sorted(sums.items())
            if wrong >= 2 and binomial_tail(wrong, right + wrong, rules.friends_rate) < rules.friends_alpha
        ]  # fmt: skip
        return bad if len(bad) >= 2 else []

    def _seen_in(self, owner: str, worker: NodeId) -> tuple[str, ...]:
        nodes = [worker, *self.nodes_of(owner)[:64]]
        return tuple(sorted({self._networks[node] for node in nodes if node in self._networks})[:4])


def _wrong(counts: Counts) -> int:
    return counts.disputed + counts.invalid


def _near(old: float, new: float) -> bool:
    """Too little a change to weigh everything anew: a hundredth, or a fiftieth of a block of all that one owner may say."""
    return abs(new - old) <= max(0.01 * max(old, new), 1e-4)
