"""Every limit of the ledger, and why that number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerRules:
    """Limits on what others can make this node hold, ask or send."""

    entry_bytes_max: int = 16 << 10  # a tally is 0.4 KiB; a gossip message holds 64 KiB with its envelope
    parked_per_author: int = 64  # one gossip burst out of order; more than that is sync's work, not parking's
    parked_total: int = 4096  # with the line above: 64 authors at once, 64 MiB at the very worst
    logs_per_author: int = 4096  # one a ring and a start: eleven starts a day for a year
    entries_per_log: int = 1 << 20  # 32 MiB of ids; a tally every 30 s fills it in a year
    request_max: int = 1024  # entries in one want: 0.4 MiB of tallies, a frame's worth
    fork_window: int = 64  # how far back one step of the search for a fork's first entry looks


@dataclass(frozen=True, slots=True)
class SyncRules:
    """Limits of one meeting."""

    list_max: int = 32  # logs listed rather than split again: 32 lines cost less than another round trip
    slices_max: int = 64  # in one question: 64 answers of 32 lines stay near 200 KB, below a frame
    lines_max: int = 2048  # in one answer: 200 KB
    wants_open: int = 64  # wants under way at once: enough to fill any pipe, little to remember
    wants_max: int = 1 << 16  # in one meeting; the rest waits for the next
    compares_max: int = 1 << 14  # questions answered in one meeting: a million logs need some 2,000
    give_entries_max: int = 256  # in one message
    give_bytes_max: int = 256 << 10  # in one message: a quarter of a frame, so that credit is shared
    stall_s: float = 30.0  # silence that ends a meeting: the same patience a session has


@dataclass(frozen=True, slots=True)
class TallyRules:
    """When verdicts become entries."""

    interval_s: float = 30.0  # never two tallies of one (job, worker) closer than this, but at the job's end
    growth: float = 4.0  # good news waits 30 s, 2 min, 8 min …: a day-long job makes eight entries a worker
    interval_max_s: float = 6 * 3600.0  # but never longer than this
    leaves_max: int = 1 << 18  # 8 MiB of evidence at 32 bytes; reached only by 8,700 verdicts/s on one worker


@dataclass(frozen=True, slots=True)
class ReputationRules:
    """How testimony becomes a number."""

    decay: float = 0.97  # per later entry of the same author on the same worker: 23 entries halve it
    testimonies_max: int = 128  # kept per author and worker: 0.97^128 = 2 %
    authors_max: int = 64  # kept per worker; those outside one's trust give way first
    workers_max: int = 65536  # remembered; the longest unheard of gives way
    confidence: float = 0.95  # one-sided: a bound that one honest worker in twenty falls below
    newcomer_blocks: float = 20.0  # weighed blocks below which a worker is always replicated
