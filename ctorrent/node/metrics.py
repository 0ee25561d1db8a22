"""Numbers for a monitor, as Prometheus names and counts them. images/grafana.json draws exactly these.

Everything is read when it is asked for; only the times of sandboxes are counted as they happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

from ctorrent.model.live import Histogram, Metrics
from ctorrent.model.status import JobStatus
from ctorrent.node.blockmap import STATES
from ctorrent.node.livefeed import LiveFeed
from ctorrent.node.neighbours import Neighbours
from ctorrent.node.requester import Requester
from ctorrent.node.scribe import Scribe
from ctorrent.node.share import Share
from ctorrent.node.vitals import Vitals
from ctorrent.node.worker import Worker
from ctorrent.node.world import World

JOB_STATES = ("waiting", "running", "paused", "settled", "failed", "cancelled")
LABEL_CHARS = 80  # of a device's name
HELP = {
    "ctorrent_peers": "Peers, by whether they are connected now or only known.",
    "ctorrent_pool_machines": "This machine and the connected ones that would work for its person.",
    "ctorrent_pool_slots": "Slots of those, by whether they are free.",
    "ctorrent_jobs": "Jobs of this node's person, by state.",
    "ctorrent_blocks": "Blocks of the jobs that have not ended, by state.",
    "ctorrent_sessions": "Sessions with other nodes, by what this one is in them.",
    "ctorrent_queue_depth": "What waits: units here that have not begun, units that wait for cores, results not acknowledged, messages of workers.",
    "ctorrent_engagements": "Jobs that this machine works for now.",
    "ctorrent_slots": "Slots that this machine lends, by whether they are free.",
    "ctorrent_sharing": "1 while this machine is lent.",
    "ctorrent_followers": "Programs that follow this node's events.",
    "ctorrent_ledger_entries": "Entries of the ledger that are held here.",
    "ctorrent_process_resident_bytes": "Memory of the node's own process.",
    "ctorrent_cpu_load_ratio": "Load of all cores of the machine.",
    "ctorrent_memory_used_bytes": "Memory in use on the machine.",
    "ctorrent_disk_free_bytes": "Free space where the node keeps its data.",
    "ctorrent_cpu_temperature_celsius": "The hottest sensor of the processor; absent where there is none.",
    "ctorrent_gpu_temperature_celsius": "By device; absent where the driver does not say.",
    "ctorrent_gpu_load_ratio": "By device.",
    "ctorrent_gpu_memory_used_bytes": "By device.",
    "ctorrent_network_bytes_total": "Bytes between this node and its peers, by direction, since its start.",
    "ctorrent_sandbox_blocks_total": "Blocks that this machine ran for a job, by outcome, since the node's start.",
    "ctorrent_earned_credits": "Credits that others' receipts name for this person's machines.",
    "ctorrent_sandbox_seconds": "Wall seconds of a block inside its sandbox here.",
}


class Numbers:
    """Of one node."""

    def __init__(
        self, world: World, requester: Requester, worker: Worker, share: Share, scribe: Scribe, neighbours: Neighbours, vitals: Vitals,
        feed: LiveFeed,
    ) -> None:  # fmt: skip
        self._world, self._requester, self._worker, self._share = world, requester, worker, share
        self._scribe, self._neighbours, self._vitals, self._feed = scribe, neighbours, vitals, feed

    async def now(self) -> Metrics:
        """All of them."""
        gauges = self._peers() | self._jobs() | self._queues() | await self._machine()
        received, sent = self._world.directory.traffic()
        ran = self._share.ran
        counters = {
            _of("ctorrent_network_bytes_total", direction="in"): float(received),
            _of("ctorrent_network_bytes_total", direction="out"): float(sent),
            _of("ctorrent_sandbox_blocks_total", outcome="value"): float(ran.values),
            _of("ctorrent_sandbox_blocks_total", outcome="failure"): float(ran.failures),
        }
        histograms = {"ctorrent_sandbox_seconds": Histogram(bounds=list(ran.bounds), counts=ran.cumulative(), sum=ran.sum_s)}
        return Metrics(gauges=gauges, counters=counters, histograms=histograms, help=dict(HELP))

    def _peers(self) -> dict[str, float]:
        contacts = self._world.directory.contacts()
        connected = sum(one.connected for one in contacts)
        pool = self._neighbours.pool()
        return {
            _of("ctorrent_peers", state="connected"): float(connected),
            _of("ctorrent_peers", state="known"): float(len(contacts) - connected),
            "ctorrent_pool_machines": float(pool["machines"]),
            _of("ctorrent_pool_slots", state="free"): float(pool["slots_free"]),
            _of("ctorrent_pool_slots", state="taken"): float(pool["slots"] - pool["slots_free"]),
        }

    def _jobs(self) -> dict[str, float]:
        states = Counter(record.state for record in self._requester.records.values())
        found = {_of("ctorrent_jobs", state=state): float(states.get(state, 0)) for state in JOB_STATES}
        open_jobs = [coordination.status() for _, coordination in self._requester.open_jobs()]
        return found | {_of("ctorrent_blocks", state=state): float(_blocks(open_jobs, state)) for state in STATES}

    def _queues(self) -> dict[str, float]:
        worker, engaged = self._worker, list(self._worker.engagements.values())
        return {
            _of("ctorrent_sessions", side="requester"): float(self._requester.sessions),
            _of("ctorrent_sessions", side="worker"): float(len(worker.sessions())),
            _of("ctorrent_queue_depth", queue="units"): float(sum(one.waiting() for one in engaged)),
            _of("ctorrent_queue_depth", queue="cores"): float(self._share.waiting),
            _of("ctorrent_queue_depth", queue="owed"): float(sum(worker.owes().values())),
            _of("ctorrent_queue_depth", queue="messages"): float(sum(one.unheard for _, one in self._requester.open_jobs())),
            "ctorrent_engagements": float(len(engaged)),
            _of("ctorrent_slots", state="free"): float(self._share.slots_free),
            _of("ctorrent_slots", state="taken"): float(self._share.slots - self._share.slots_free),
            "ctorrent_sharing": float(self._share.on),
            "ctorrent_followers": float(len(self._feed)),
        }

    async def _machine(self) -> dict[str, float]:
        chain = self._scribe.book.chain
        now = await self._vitals.now()
        load = self._vitals.load
        found = {
            "ctorrent_ledger_entries": float(sum(head.seq for author in chain.authors() for head in chain.heads(author))),
            "ctorrent_process_resident_bytes": float(load.process_bytes if load else 0),
            "ctorrent_cpu_load_ratio": now["cpu"], "ctorrent_memory_used_bytes": float(now["memory_used"]),
            "ctorrent_disk_free_bytes": float(now["disk_free_bytes"]), "ctorrent_earned_credits": now["earned_credits"],
        }  # fmt: skip
        if now["temperature_c"] is not None:
            found["ctorrent_cpu_temperature_celsius"] = now["temperature_c"]
        for number, gpu in enumerate(now["gpus"]):
            labels = {"gpu": str(number), "name": gpu["name"]}
            if gpu["temperature_c"] is not None:
                found[_of("ctorrent_gpu_temperature_celsius", **labels)] = gpu["temperature_c"]
            found[_of("ctorrent_gpu_load_ratio", **labels)] = gpu["load"]
            found[_of("ctorrent_gpu_memory_used_bytes", **labels)] = float(gpu["memory_used"])
        return found


def _blocks(statuses: Sequence[JobStatus], state: str) -> int:
    return sum(cast("dict[str, int]", status)[state] for status in statuses)  # STATES are fields of it


def _of(name: str, /, **labels: str) -> str:
    """A name with its labels; a label's value is shown as text whatever a driver put into it."""
    shown = ",".join(f'{key}="{_safe(value)}"' for key, value in labels.items())
    return f"{name}{{{shown}}}"


def _safe(text: str) -> str:
    return "".join(c if c.isprintable() and c not in '"\\' else " " for c in text)[:LABEL_CHARS]
