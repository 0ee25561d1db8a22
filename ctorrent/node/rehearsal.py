"""A job before it is announced: its smallest block in this machine's own sandbox, and what the whole will take.

Nothing is signed for others, announced or journalled here. What the program does wrong shows in seconds, with its own
traceback; what it took makes the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctorrent.errors import LocalError
from ctorrent.market.estimate import Estimate, Machine, Work, estimate
from ctorrent.market.fit import programs_of
from ctorrent.market.price import Prices
from ctorrent.model.ids import RingKind
from ctorrent.model.job import Isolation
from ctorrent.model.result import Failure, FailureKind, Outcome
from ctorrent.model.status import Cost, Rehearsal
from ctorrent.model.trade import NoReason
from ctorrent.node import plain
from ctorrent.node.admission import network_of
from ctorrent.node.advice import advice
from ctorrent.node.jobbook import JobRecord
from ctorrent.node.laxness import lax
from ctorrent.node.people import People
from ctorrent.node.pinning import notes
from ctorrent.node.policy import is_audited
from ctorrent.node.selfrun import SelfRun
from ctorrent.node.share import Share
from ctorrent.node.submission import Submission
from ctorrent.node.tender import asked_of, lacking, too_dear
from ctorrent.node.world import World
from ctorrent.verify.compare import SUPPORTED, Different, same

LIMIT_S = 10.0  # a person waits for it
LOG_CHARS = 4000  # of what the block printed: its end
NODES_MAX = 1000  # made for a job on this machine


@dataclass(frozen=True, slots=True)
class Measured:
    """What one block did here. state: as in status.Rehearsal."""

    state: str
    why: str = ""
    failure: Failure | None = None
    log: bytes = b""
    block_s: float = 0.0
    start_s: float = 0.0
    wavers: str = ""
    lax: str = ""


class Rehearsals:
    """Rehearses jobs of this node, and says what they will take."""

    def __init__(self, world: World, people: People, share: Share, submission: Submission, selfrun: SelfRun) -> None:
        self._world, self._people, self._share = world, people, share
        self._submission, self._selfrun = submission, selfrun

    async def rehearse(self, path: Path, text: str, options: dict[str, Any]) -> Rehearsal:
        """options: as of a submission, and

        "rehearsal": False runs nothing; a map of what was measured before is reckoned with again, when others have come
        "nodes": how many of its own on this machine the job will get
        Raises JobFileError or LocalError as a submission does.
        """
        record, blocks = await self._submission.sample(path, text, options)
        before = options.get("rehearsal")
        if before is False:
            measured = Measured("skipped", "as asked")
        else:
            measured = _again(before) if isinstance(before, dict) else await self._measured(record)
        manifest, block = record.job.manifest, record.blocks[0]
        there = self._machines(record, options)
        machines = [machine for machine in there if machine.price <= manifest.price_max]  # the others will not bid
        owners = len({machine.owner for machine in machines if machine.slots})
        wanted, (economy, runs) = manifest.verify.replicas, asked_of(manifest.verify)
        work = Work(blocks, measured.block_s, measured.start_s, max(1, manifest.needs.cpu), manifest.coalesce)
        own = economy and bool(machines) and machines[0].here and machines[0].owner == self._world.owner  # whose word stands alone
        cores, known = self._world.hardware.cores, measured.block_s > 0
        found = Rehearsal(
            name=manifest.name, state=measured.state, why=measured.why, hint="", log=_end_of(measured.log), index=block.index,
            params=block.params, block_s=measured.block_s, start_s=measured.start_s, wavers=measured.wavers, lax=measured.lax, blocks=blocks,
            replicas=wanted, economy=economy, owners=owners, lacks="" if own else _lacks(runs, owners, machines, options, self._withheld(record), economy, len(there) - len(machines), manifest.price_max),
            audited=is_audited(manifest) and wanted > 1,
            cost=_cost(estimate(work, machines, cores, min(runs, owners) if own else runs)) if known else None,
            single=_cost(estimate(work, machines, cores, 1)) if known and wanted > 1 and not (own and owners < 2) else None,
        )  # fmt: skip
        if measured.failure is not None:
            failure = measured.failure
            found["failure"] = {"kind": failure.kind.name.lower(), "type": failure.type, "text": failure.text}
            found["hint"] = advice(failure, manifest)
        return found

    async def _measured(self, record: JobRecord) -> Measured:
        manifest = record.job.manifest
        if manifest.needs.gpu:
            return Measured("skipped", "it needs a GPU, and GPUs are lent to jobs as a whole")
        if self._world.sandbox.level is Isolation.NONE:
            return Measured("skipped", self._world.sandbox.gaps[0])
        try:
            outcomes, other = await self._selfrun.rehearse(record, LIMIT_S)
        except LocalError as error:
            return Measured("skipped", " ".join([error.message.rstrip(".") + ".", *notes(manifest)]))
        failure = next((outcome.failure for outcome in outcomes if outcome.failure is not None), None)
        if failure is None:
            wide = await lax(self._selfrun, record, outcomes[0], other) if other is not None else ""
            return _timed(outcomes, self._differ(record, outcomes), wide)
        if failure.kind is FailureKind.TIME and manifest.limits.block_s > LIMIT_S:
            return Measured("long", f"its block takes more than {LIMIT_S:g} s", block_s=LIMIT_S, log=outcomes[0].log)
        return Measured("failed", failure=failure, log=outcomes[-1].log)

    def _differ(self, record: JobRecord, outcomes: Sequence[Outcome]) -> str:
        """How two runs of one block differ, in words; "" where they do not, or where only the job's own script could tell."""
        verify = record.job.manifest.verify
        if verify.equal not in SUPPORTED:
            return ""
        for other in outcomes[1:]:
            found = same(outcomes[0].output(), other.output(), verify)
            if isinstance(found, Different):
                return found.words
        return ""

    # -- who is there -------------------------------------------------------------------------------------------------

    def _machines(self, record: JobRecord, options: dict[str, Any]) -> list[Machine]:
        """This one first. Those that are made for the job are all like it."""
        world, needs = self._world, record.job.manifest.needs
        slots = self._share.slots_for(needs) if self._share.slots and world.sandbox.level is not Isolation.NONE else 0
        mine = Machine(world.owner, slots, gflops=self._share.speed_gflops, here=True)
        made = options.get("nodes")
        if isinstance(made, int) and made > 0:
            return [Machine(f"node {n}", slots, gflops=mine.gflops, here=True) for n in range(min(made, NODES_MAX))]
        own = [mine] if slots and options.get("work") is not False and not self._withheld(record) else []
        return own + [machine for machine in self._others(record) if machine.slots]

    def _withheld(self, record: JobRecord) -> tuple[str, ...]:
        """Programs the job needs that this machine has and offers to no job, its owner's own included."""
        found = self._share.environment_for(record.job.manifest)
        if not isinstance(found, tuple) or not any(no.reason is NoReason.WITHHELD for no in found):
            return ()
        there = {name for info in self._world.sandbox.environments() for name in info.withheld}
        manifest = record.job.manifest
        return tuple(name for name in programs_of(manifest.program.argv, manifest.environment) if name in there)

    def _others(self, record: JobRecord) -> list[Machine]:
        """Connected peers that may see the job, as they offered themselves when they were met."""
        world, people, manifest = self._world, self._people, record.job.manifest
        found = []
        here = {address.split("/")[2] for address in world.directory.addresses() if address.count("/") > 2}
        for contact in world.directory.contacts():
            offer = plain.decode_offer(people.offers.get(contact.node, b""))
            known = people.known.get(contact.node)
            friend = known is not None and people.is_friend(known.owner)
            if not contact.connected or not (friend or manifest.ring.kind is not RingKind.FRIENDS):
                continue
            if _level(offer) < manifest.needs.isolation.value:
                continue
            owner = known.owner if known is not None and known.owner else f"net_{network_of(world, contact.node)}"
            near = contact.seen_at.startswith("127.") or contact.seen_at == "::1" or contact.seen_at in here
            asked = offer.get("price", Prices().core_hour)
            price = 0.0 if friend or not isinstance(asked, int | float) else float(asked)
            gflops = _number(offer, "gflops_per_slot")
            speed = gflops / self._share.speed_gflops if gflops and self._share.speed_gflops else 1.0
            found.append(Machine(owner, _slots(offer, record), max(0.01, speed), price, gflops, near))
        return found


def _lacks(wanted: int, owners: int, machines: Sequence[Machine], options: dict[str, Any], withheld: tuple[str, ...], economy: bool, dear: int = 0, pays: float = 0.0) -> str:
    """For whom the job will wait; "" where enough are here. withheld: programs that this machine has and does not offer.

    dear, pays: as of `lacking`
    """
    if owners >= wanted:
        return ""
    allow = " ".join(f"--allow-program {name}" for name in withheld)
    offer = f"your node has {', '.join(withheld)} and does not offer {'it' if len(withheld) == 1 else 'them'}: ctorrent stop, then ctorrent node {allow}"
    if owners:
        return lacking(wanted, owners, machines[0].here, economy, dear, pays) + (f"; {offer}" if withheld else "")
    whom = "an owner" if wanted == 1 else f"{wanted} owners"
    if dear:
        return f"waits for {whom}: {too_dear(dear, pays)}"
    if options.get("work") is False:
        return f"waits for {whom}: nobody else is here, and --no-work leaves the blocks to others. Invite one (ctorrent invite), or leave --no-work out"
    if withheld:
        return f"waits for {whom}: nobody else is here, and {offer}"
    return f"waits for {whom}: nobody else is here, and this node runs none itself. Invite one (ctorrent invite)"


def _again(before: dict[str, Any]) -> Measured:
    """What an earlier call said; its words come from this person's own program."""
    return Measured(
        str(before.get("state")), str(before.get("why")), log=str(before.get("log")).encode(), wavers=str(before.get("wavers")), lax=str(before.get("lax") or ""),
        block_s=_number(before, "block_s"), start_s=_number(before, "start_s"),
    )  # fmt: skip


def _timed(outcomes: Sequence[Outcome], wavers: str, wide: str) -> Measured:
    """The last run of a process had its imports done; where there was one run, nothing tells them apart."""
    times = [outcome.usage.wall_s for outcome in outcomes]
    start_s = max(0.0, times[1] - times[-1]) if len(times) > 2 else 0.0
    return Measured("ran", block_s=max(1e-5, times[-1]), start_s=start_s, wavers=wavers, lax=wide, log=outcomes[0].log)


def _number(offer: dict[str, Any], name: str) -> float:
    """A stranger's word: a number above nothing, or 0."""
    value = offer.get(name)
    return float(value) if isinstance(value, int | float) and 0 < value < 1e15 else 0.0


def _slots(offer: dict[str, Any], record: JobRecord) -> int:
    needs = record.job.manifest.needs
    if needs.gpu:
        return int(min(_number(offer, "gpus_free") // needs.gpu, 64))
    by_memory = _number(offer, "memory_bytes") // max(1, needs.memory_bytes)
    return int(min(_number(offer, "slots") // max(1, needs.cpu), by_memory, 4096))


def _level(offer: dict[str, Any]) -> int:
    names = {level.name.lower(): level.value for level in Isolation}
    return names.get(str(offer.get("isolation")), 0)


def _cost(found: Estimate | None) -> Cost | None:
    if found is None:
        return None
    return Cost(
        machines=found.machines, owners=found.owners, replicas=found.replicas, seconds=found.seconds, speedup=found.speedup,
        credits=found.credits,
    )  # fmt: skip


def _end_of(log: bytes) -> str:
    return log.decode(errors="replace")[-LOG_CHARS:]
