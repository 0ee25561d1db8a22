"""Every limit of the ledger, and why that number."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LedgerRules:
    """Limits on what others can make this node hold, ask or send."""

    entry_bytes_max: int = 16 << 10  # a tally is 0.4 KiB; a gossip message holds 64 KiB with its envelope
    parked_per_author: int = 64  # one gossip burst out of order; more than that is sync's work, not parking's
    parked_total: int = 4096  # with the line above: 64 authors at once, 64 MiB at the very worst
    logs_per_author: int = 4096  # one a ring and a start; an author that sums up its logs keeps some hundred
    entries_per_log: int = 1 << 20  # 32 MiB of ids; a tally every 30 s fills it in a year
    request_max: int = 1024  # entries in one want: 0.4 MiB of tallies, a frame's worth
    fork_window: int = 64  # how far back one step of the search for a fork's first entry looks
    strays_max: int = 256  # entries from behind checkpoints that wait for a rival: a proof's two come one after the other


@dataclass(frozen=True, slots=True)
class CheckpointRules:
    """When an author sums up its logs of a ring, and in how much."""

    entries: int = 4096  # since the last one: 2.5 MiB of tallies; so a log's holders keep 5 MiB at most
    logs: int = 64  # begun since the last one: a log a start, so that no author comes near logs_per_author
    sums_a_part: int = 128  # what an entry of 16 KiB holds at 90 bytes each
    parts_max: int = 64  # 8,192 workers: those least worked for are left out


@dataclass(frozen=True, slots=True)
class RoomRules:
    """How much of others' entries lies on this disk, and whose."""

    bytes_max: int = 1 << 30  # of entries, everybody's: keys are free, a disk is not
    author_part: int = 64  # of it for a node that is no friend: 16 MiB, three times what a log of one ring costs that is summed up
    owner_part: int = 16  # of it for an owner that is no friend: 64 MiB, a dozen nodes in a few rings
    author_bytes: int = 4 << 10  # that each author takes beside its entries: 0.8 KB of memory, so 200 MB for a budget of tiny logs
    trim_bytes: int = 256 << 10  # given up at once by whoever gives way: 600 tallies, one commit
    proofs_bytes: int = 64 << 20  # of forks, beside the entries; strangers' have half of it: 50,000 forks of tallies
    proven_logs: int = 8  # of an author, whose forks are kept: one is enough to convict it


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
