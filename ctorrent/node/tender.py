"""The market side of one job: feeds the auction, turns its effects into messages, announcements and engagements."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ctorrent.canon import encode
from ctorrent.dispatch.words import Reach, WorkerJoined
from ctorrent.errors import Malformed
from ctorrent.market import rank
from ctorrent.market import words as m
from ctorrent.market.auction import Auction
from ctorrent.model.identity import PeerIdentity
from ctorrent.model.ids import NodeId, OwnerId, RingKind
from ctorrent.model.job import Assurance, Isolation, Verify
from ctorrent.model.session import Declined, Describe, Engaged, Message
from ctorrent.model.status import WhyReport
from ctorrent.model.trade import Announcement, Bid, No, NoReason
from ctorrent.node import records
from ctorrent.node.admission import network_of
from ctorrent.node.experience import Experience
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.patience import printable
from ctorrent.node.people import People
from ctorrent.node.progress import Progress, WorkerLine
from ctorrent.node.scribe import Scribe
from ctorrent.node.session import Session
from ctorrent.node.world import World
from ctorrent.ports import Put
from ctorrent.verify.audit import AuditRules
from ctorrent.wire import codec, names

SLOTS_WANTED_MAX = 256  # more workers than this a single coordinator hardly feeds
CREDIT_PER_SLOT_MAX = 4  # units under way: one runs, one has its inputs, one travels each way; leases grow with it
PARTIES_MAX = 4096  # peers that asked about one job
REASONS_KEPT, DETAIL_CHARS = 4, 300  # of a no, for `why`
LEVELS = frozenset(level.value for level in Isolation)
SLOTS_AHEAD = 64  # wanted while more blocks may come: a few machines
SNAPSHOT_S = 5.0  # how often standings and speeds are looked at again
ESTABLISHED = AuditRules().established_after  # whose answers stand alone where the job says economy
LOOKING_S = 3.0  # a first round's window and a slow dial: before that nobody can have answered
CLASSES_SHOWN, CLASS_CHARS = 4, 80  # of hardware, in one sentence
ALONE_S = 5.0  # with peers known: how long one more owner than the policy asks for is waited for; then it is said, too
RETURN_S = 30.0  # the same where another was there before: a node restarts in seconds, a worker dials again within 20


@dataclass(frozen=True, slots=True)
class _Party:
    """A peer that asked about this job, and what it bid."""

    identity: PeerIdentity
    owner: str
    nonce: bytes
    bid: Bid | None = None


class Tender:
    """One open job's market."""

    def __init__(
        self, world: World, people: People, scribe: Scribe, experience: Experience, record: JobRecord, rng: random.Random
    ) -> None:
        self.hear_own: Callable[[bytes], None] = lambda message: None
        self.lent: Callable[[], bool] = lambda: True  # is this machine? Said where nobody takes the job, and nothing else
        self.out: list[tuple[NodeId, Message]] = []
        self.owners: dict[NodeId, str] = {}  # of workers of a life before a restart
        self.announcing: list[m.Announce] = []
        self._world, self._people, self._scribe, self._experience = world, people, scribe, experience
        self._record = record
        manifest = record.job.manifest
        terms = m.Terms(manifest.price_max, manifest.needs.isolation.value, max(3, manifest.verify.replicas + 1))
        self._auction = Auction(terms, rng)
        self._parties: dict[NodeId, _Party] = {}
        self._shown: set[NodeId] = set()  # asked for membership only, never iterated
        self._reach: Reach | None = None
        self._patience_s = ALONE_S if record.state == "waiting" else RETURN_S  # a restarted job had workers
        self._alone_since = self._looking_since = world.clock.now()
        self._rounds = int(records.load(world.journal.get("round", record.id) or encode(0)))
        self._snapshot_at = 0.0
        self.fallen: list[tuple[NodeId, str]] = []  # engaged, and since then proven wrong elsewhere; taken by the coordination
        self._unsellable = ""
        self._outside_class: dict[NodeId, WorkerJoined] = {}  # of a homogeneous job: too few owners of their class are here
        self._fewer_since: float | None = None  # fewer owners take part than must agree

    # -- events -------------------------------------------------------------------------------------------------------

    def begin(self, now: float) -> list[WorkerJoined]:
        """Start announcing."""
        self._alone_since = now
        joined = self._perform(self._auction.handle(self._snapshot(now, {}), now))
        joined += self._perform(self._auction.handle(m.Want(self._slots_wanted()), now))
        return joined + self._perform(self._auction.handle(m.Begin(), now))

    def tick(self, now: float, board: Progress, measured: Callable[[], dict[NodeId, tuple[int, float]]]) -> list[WorkerJoined]:
        """Time passed, work was done. measured: asked for blocks and seconds of each worker, by this node's clock."""
        joined: list[WorkerJoined] = []
        if now >= self._snapshot_at:
            self._snapshot_at = now + SNAPSHOT_S
            self.fallen = [(node, why) for node in self._auction.engaged if (why := self._scribe.trust.held(node)) and node != self._world.node]
            joined += self._perform(self._auction.handle(self._snapshot(now, measured()), now))
        wanted = 0 if self._record.state == "paused" else self._slots_wanted(sum(board.ended.values()))
        joined += self._perform(self._auction.handle(m.Want(wanted), now))
        return joined

    def interest(self, session: Session, now: float) -> list[WorkerJoined]:
        """A peer asks. It is described the job, or declined."""
        identity = session.identity
        if self._record.own_only and identity.owner != self._world.owner:
            self.out.append((identity.node, Declined(self._record.id, No(NoReason.RING, "only its owner's own machines run it"), 0.0)))
            return []
        trusted = identity.node == self._world.node or self._people.is_friend(identity.owner)
        if self._auction.holds(identity.node) and identity.node not in self._auction.reserve:
            return []  # described or engaged: a new nonce would make the bid under way a forgery
        self._forget_parties()
        self._parties.pop(identity.node, None)
        self._parties[identity.node] = _Party(identity, self._owner(identity), self._world.clock.random_bytes(16))
        arrived = m.InterestArrived(identity.node, self._owner(identity), trusted, self._standings([identity.node])[identity.node])
        return self._perform(self._auction.handle(arrived, now))

    def _forget_parties(self) -> None:
        """Ids are free. Those that were ever engaged stay: votes name their owners."""
        if len(self._parties) >= PARTIES_MAX:
            idle = (node for node in self._parties if node not in self._shown and not self._auction.holds(node))
            if (old := next(idle, None)) is not None:
                del self._parties[old]

    def bid(self, session: Session, bid: Bid, now: float) -> list[WorkerJoined]:
        """Raises Malformed for a bid that is not for this job and this conversation."""
        node = session.identity.node
        party = self._parties.get(node)
        if party is None or bid.worker != node or bid.job != self._record.id or bid.session_nonce != party.nonce:
            raise Malformed("a bid for another job or conversation")
        self._parties[node] = _Party(party.identity, party.owner, party.nonce, bid)
        trusted = node == self._world.node or self._people.is_friend(party.identity.owner)
        slots = max(1, min(SLOTS_WANTED_MAX, bid.slots))
        credit = max(1, min(slots * CREDIT_PER_SLOT_MAX, bid.credit))
        bidder = rank.Bidder(node, party.owner, slots, credit, bid.speed_gflops, bid.price, bid.isolation, trusted)
        return self._perform(self._auction.handle(m.BidArrived(bidder), now))

    def no(self, session: Session, reasons: tuple[No, ...], now: float) -> list[WorkerJoined]:
        node = session.identity.node
        reasons = tuple(No(no.reason, printable(no.detail, DETAIL_CHARS)) for no in reasons[:REASONS_KEPT])
        joined = self._perform(self._auction.handle(m.SessionEnded(node, "it withdrew"), now))
        return joined + self._perform(self._auction.handle(m.NoThanksArrived(node, reasons), now))

    def lost(self, node: NodeId, now: float) -> list[WorkerJoined]:
        return self._perform(self._auction.handle(m.SessionEnded(node, "its session ended"), now))

    def avoid(self, node: NodeId, why: str, now: float) -> list[WorkerJoined]:
        return self._perform(self._auction.handle(m.Avoided(node, why), now))

    def pardon(self, node: NodeId, now: float) -> list[WorkerJoined]:
        return self._perform(self._auction.handle(m.Pardoned(node), now))

    def end(self, now: float) -> None:
        self._perform(self._auction.handle(m.End(), now))

    # -- effects ------------------------------------------------------------------------------------------------------

    def _perform(self, effects: list[m.Effect]) -> list[WorkerJoined]:
        joined: list[WorkerJoined] = []
        for effect in effects:
            match effect:
                case m.Announce():
                    self.announcing.append(effect)
                case m.Describe(node=node):
                    self.out.append((node, self._description(self._parties[node].nonce)))
                case m.Decline(node=node, no=no, retry_s=retry_s):
                    self.out.append((node, Declined(self._record.id, no, retry_s)))
                case m.Engage():
                    if not effect.again:
                        self.out.append((effect.node, Engaged(self._record.id, effect.credit)))
                    joined.append(WorkerJoined(
                        effect.node, self.owners.get(effect.node, effect.owner), effect.credit, effect.slots, effect.weight, effect.newcomer,
                        self.class_of(effect.node), self._kin(effect.node),
                    ))  # fmt: skip
                case m.Unsellable(words=text):
                    self._unsellable = text
        return self._of_a_class(joined) if self._record.job.manifest.verify.homogeneous else joined

    def _of_a_class(self, joined: list[WorkerJoined]) -> list[WorkerJoined]:
        """Of a homogeneous job: who gets blocks. Those begun in a class of too few owners would wait for ever for one more of it."""
        economy, wanted = asked_of(self._record.job.manifest.verify)
        self._outside_class |= {event.worker: event for event in joined}
        owners = self._classes()
        ready = {
            node: event for node, event in self._outside_class.items()
            if len(owners.get(event.hardware_class, ())) >= wanted or (economy and (node == self._world.node or self.valid_of(node) >= ESTABLISHED))
        }  # fmt: skip
        self._outside_class = {node: event for node, event in self._outside_class.items() if node not in ready and node in self._auction.engaged}
        return list(ready.values())

    def _description(self, nonce: bytes) -> Describe:
        record = self._record
        return Describe(record.id, nonce, record.job.sealed, tuple(record.amendments), record.job_secret)

    async def announce(self, effect: m.Announce) -> None:
        """Sign this round's announcement and gossip it; this node's own worker hears it directly."""
        manifest, number = self._record.job.manifest, self._rounds + effect.round
        await self._world.journal.commit([Put("round", self._record.id, encode(number))], durable=False)
        announcement = Announcement(
            job=self._record.id, requester=self._world.node, round=number, ring=manifest.ring,
            needs=manifest.needs, environment=manifest.environment, bids_wanted=effect.bids_wanted,
            ttl_s=effect.ttl_s, price_max=manifest.price_max, peer_record=self._world.directory.self_record(),
        )  # fmt: skip
        message = codec.encode_sealed(codec.seal_announcement(announcement, self._world.keys.node))
        self.hear_own(message)
        await self._world.gossip.publish(names.jobs_topic(manifest.ring), message)

    # -- what others ask ----------------------------------------------------------------------------------------------

    @property
    def next_wakeup(self) -> float | None:
        wake = self._auction.next_wakeup
        return self._snapshot_at if wake is None else min(wake, self._snapshot_at)

    def holds(self, node: NodeId) -> bool:
        """Is this peer described the job, in reserve or engaged?"""
        return self._auction.holds(node)

    def owner_of(self, node: NodeId) -> str:
        return self._parties[node].owner if node in self._parties else self.owners.get(node, self._world.owner)

    def certified_owner(self, node: NodeId) -> OwnerId:
        """For the ledger: "" for a worker that showed no certificate, whatever it counts as here."""
        owner = self.owner_of(node)
        return OwnerId(owner if owner.startswith("own_") else "")

    def bid_of(self, node: NodeId) -> Bid | None:
        """The last that it made."""
        return self._parties[node].bid if node in self._parties else None

    def class_of(self, node: NodeId) -> str:
        party = self._parties.get(node)
        return party.bid.hardware_class if party and party.bid else ""

    def _kin(self, node: NodeId) -> tuple[str, ...]:
        """What it shares with those who may be in league with it: its network, and whom its swarm's root invited."""
        if node == self._world.node:
            return ()
        branches = self._parties[node].identity.branches if node in self._parties else ()
        return (f"network {network_of(self._world, node)}", *(f"branch {branch}" for branch in branches))

    def valid_of(self, node: NodeId) -> int:
        """Checks that it passed in a row for this node's jobs, as the ledger has them; 0 for a newcomer."""
        return self._scribe.trust.established(node)

    def show(self, node: NodeId, board: Progress) -> None:
        """Put an engaged worker on the board."""
        party = self._parties.get(node)
        if party is None or party.bid is None:
            return
        self._shown.add(node)
        line = board.workers.get(node)
        if line is None:
            level = Isolation(party.bid.isolation) if party.bid.isolation in LEVELS else Isolation.NONE
            name = party.identity.name or node[-8:]
            line = WorkerLine(node, name, party.owner, level, node == self._world.node, number=len(board.workers))
            board.workers[node] = line
        line.state, line.price, line.gflops = "engaged", party.bid.price, party.bid.speed_gflops
        board.changed.add(node)

    def reach(self, now: float) -> Reach | None:
        """Is there more than one owner, or may there be soon? None while that has not changed."""
        if len(self._owners(2)) > 1:
            self._alone_since, self._patience_s = now, RETURN_S
            found = Reach(True)
        else:
            hope = bool(self._world.directory.contacts()) and now - self._alone_since < self._patience_s
            found = Reach(hope, self._patience_s if hope else 0.0)
        if found == self._reach:
            return None
        self._reach = found
        return found

    def waits_for(self) -> str:
        """One sentence on why nothing runs yet, or why what runs cannot settle."""
        if self._auction.engaged:
            return self._owners_lack()
        answered = self._auction.reasons() or self._parties
        if not (self._unsellable or answered) and self._world.clock.now() - self._looking_since < LOOKING_S:
            return "looking for workers"
        here = "" if answered or self.lent() else "; sharing is off here, so this machine does not run it either: ctorrent share on"
        if self._record.own_only and not answered:
            return f"waits for a machine of your own: this job is for those alone{here}"
        if outside := self._outside():
            return outside + here
        why = self._auction.why()  # as it is now, which an earlier refusal is not
        return (why if self._unsellable else f"waiting for workers: {why}") + here

    def _outside(self) -> str:
        """Who is connected, said who it is, and may not see this job; empty: nobody is, or somebody else may."""
        ring, known = self._record.job.manifest.ring, self._people.known
        there = [known[contact.node] for contact in self._world.directory.contacts() if contact.connected and contact.node in known]
        out = [identity for identity in there if not self._people.may_enter(identity, ring)]
        if not out or len(out) < len(there):
            return ""
        one = len(out) == 1
        whom = "friend" if ring.kind is RingKind.FRIENDS else "member of the job's swarm"
        are = f"is connected but is no {whom}" if one else f"are connected but none is a {whom}"
        return f"waits for workers: {len(out)} peer{'' if one else 's'} {are}: give {'it' if one else 'each'} an invite (ctorrent invite)"

    def _owners_lack(self) -> str:
        """For whom the job waits where fewer owners take part than its policy asks for: that number is never lowered."""
        economy, wanted = asked_of(self._record.job.manifest.verify)
        owners = self._owners(wanted)
        enough = len(owners) >= wanted
        known = economy and (self._world.owner in owners or self._known_takes_part())
        apart = self._classes_lack(wanted) if enough and not known and self._record.job.manifest.verify.homogeneous else ""
        if known or (enough and not apart):
            self._fewer_since = None
            return ""
        now = self._world.clock.now()
        self._fewer_since = now if self._fewer_since is None else self._fewer_since
        if now - self._fewer_since < ALONE_S:
            return ""
        dear = sum(n for (reason, _), n in self._auction.reasons().items() if reason is NoReason.PRICE)
        return apart or lacking(wanted, len(owners), self._world.owner in owners, economy, dear, self._record.job.manifest.price_max)

    def _classes_lack(self, wanted: int) -> str:
        """For whom a homogeneous job waits where enough owners take part, and too few of any one class of hardware."""
        classes = self._classes()
        most = max(map(len, classes.values()), default=0)
        if most >= wanted:
            return ""
        named = sorted(classes, key=lambda name: (-len(classes[name]), name))[:CLASSES_SHOWN]
        here = ", ".join(f"{len(classes[name])} with {printable(name, CLASS_CHARS) or 'an unnamed one'}" for name in named)
        whom = "one more owner" if wanted - most == 1 else f"{wanted - most} more owners"
        return (
            f"waits for {whom} with the same class of hardware as one that is here: {wanted} must agree on each block, homogeneous: true "
            f"keeps it in one class, and here are {here}. Invite one (ctorrent invite), or submit it without homogeneous"
        )

    def _classes(self) -> dict[str, set[str]]:
        """Owners that take part, by class of hardware."""
        owners: dict[str, set[str]] = {}
        for node in self._auction.engaged:
            if node in self._parties:
                owners.setdefault(self.class_of(node), set()).add(self._parties[node].owner)
        return owners

    def _known_takes_part(self) -> bool:
        return any(self.valid_of(node) >= ESTABLISHED for node in self._auction.engaged)

    def _owners(self, enough: int) -> set[str]:
        """Who takes part; no more are looked for once there are enough: this is asked each turn, of hundreds."""
        owners: set[str] = set()
        for node in self._auction.engaged:
            if len(owners) >= enough:
                break
            if node in self._parties:
                owners.add(self._parties[node].owner)
        return owners

    def why(self) -> WhyReport:
        """Who saw the job and why they do not take it."""
        reasons = {f"{reason.value} {detail}".strip(): n for (reason, detail), n in self._auction.reasons().items()}
        engaged = len(self._auction.engaged)
        return WhyReport(
            job=self._record.name, state=self._record.state, waits_for=self.waits_for() or self._auction.why(),
            saw=len(self._parties), reasons=reasons, engaged=engaged,
        )  # fmt: skip

    def _owner(self, identity: PeerIdentity) -> str:
        """An owner, or for an uncertified node the network it comes from: many of those are one."""
        if identity.owner is not None:
            return identity.owner
        return f"net_{network_of(self._world, identity.node)}"

    def _slots_wanted(self, ended: int = 0) -> int:
        left = len(self._record.blocks) - ended
        if self._record.growing:  # machines are engaged before a burst of blocks, not after it
            left = max(left, SLOTS_AHEAD)
        return min(SLOTS_WANTED_MAX, max(0, left) * self._record.job.manifest.verify.replicas)

    def _standings(self, nodes: Iterable[NodeId]) -> dict[NodeId, rank.Standing]:
        """What is thought of some peers, each with why it is refused, if it is. Own machines are mended, not refused."""
        return {
            node: rank.Standing(
                said.agreed, said.disputed, *self._experience.of(node), said.lower_bound, said.newcomer, self._scribe.trust.held(node)
            )
            for node, said in self._scribe.snapshot(nodes).items()
        }

    def _snapshot(self, now: float, measured: Mapping[NodeId, tuple[int, float]]) -> m.Snapshot:
        claimed = {node: party.bid.speed_gflops for node, party in self._parties.items() if party.bid}
        return m.Snapshot(self._standings(self._parties), rank.observed_speeds(measured, claimed, rank.Rules()))


def asked_of(verify: Verify) -> tuple[bool, int]:
    """-> does economy hold, how many owners a block needs while nobody is known for its work (Audit.needed)."""
    economy = verify.assurance is Assurance.ECONOMY and verify.replicas > 1
    return economy, min(2, verify.replicas) if economy else verify.replicas


def lacking(wanted: int, owners: int, own: bool, economy: bool = False, dear: int = 0, pays: float = 0.0) -> str:
    """What a job says while fewer owners take part than must agree on each block.

    own: this person is one of them. dear: peers that ask more than it pays; pays: its price, credits per core-hour
    """
    whom = "a second owner" if wanted == 2 else "one more owner" if wanted - owners == 1 else f"{wanted - owners} more owners"
    here = "only yours is here" if own and owners == 1 else f"{owners} {'is' if owners == 1 else 'are'} here"
    which = "newcomers' blocks are" if economy else "every block is"
    waits = f"waits for {whom}: {which} to be run by {wanted} owners and {here}."
    if dear:  # an invite would bring another who asks as much
        return f"{waits} {too_dear(dear, pays)}"
    return f"{waits} Invite one (ctorrent invite), or submit it with --replicas 1"


def too_dear(peers: int, pays: float) -> str:
    """Of peers that ask more than a job pays, in credits per core-hour: how they are had."""
    others = "1 other asks" if peers == 1 else f"{peers} others ask"
    return f"{others} for more than its price, {pays:g}: submit it with a higher one (price: {max(1.0, 2 * pays):g})"
