"""What this node's jobs have computed: the same function of the same input is not run again.

    a job begins ─▶ its blocks' keys ─▶ those that are known are settled from here, before anybody is asked
    a job ends   ─▶ what settled, with who agreed on it ─▶ kept under its key

Kept: values, never failures, that at least two nodes agreed on, or that a machine of this owner's alone gave and that no
draw decided. A stranger alone is never believed twice, nor is one who was known for its work (economy): audits judge a
job, not the one block. A program that was found to disagree with itself has nothing kept. What somebody said who was found
out since is dropped when it is looked at (memory_voices.py). What read the clock, as anybody says who gave it, is not kept.

    space `memory`      key                     [day, job, digest, output or b"", blob or b"", [workers], policy, position]
    space `memory-age`  day u64 ‖ key           [bytes, blob or b""]: of the last use; the oldest go first
    space `no-memory`   job id                  a job whose person wants it neither known nor remembered

It is a copy of what journal and blobs held when a job ended: what of it is lost or damaged is computed again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import trio

from ctorrent.model.block import Block
from ctorrent.model.ids import Digest, JobId, NodeId
from ctorrent.model.job import AmendmentKind
from ctorrent.node import records, seen
from ctorrent.node.jobbook import End, JobRecord, load_end
from ctorrent.node.memory_key import Policy, Subject, may_keep, output_name
from ctorrent.node.memory_voices import Hearing, Voices
from ctorrent.node.returned import Replica
from ctorrent.node.world import World
from ctorrent.ports import Delete, Put, Write
from ctorrent.wire import codec

KNOWN = "known from job "  # words of a block's end
PAUSED_BY_HAND = "paused by its requester"
VALUE = b"\x00"  # what an outcome begins with that is no failure
JOBS_NAMED = 3  # in a note
BREATHE_EVERY = 64  # blocks: ~5 ms
COMMIT_BYTES = 1 << 20
ROW_BYTES = 400  # what an entry takes beside its output
DAY_S = 86_400
AGES_A_PAGE = 1000


@dataclass(frozen=True, slots=True)
class MemoryRules:
    """Limits of what is kept."""

    entries_max: int = 100_000  # ~50 MB of rows; a start counts them in ~0.3 s
    bytes_max: int = 256 << 20  # outputs, blobs included: a disk's corner, and what a day's sweeps give
    job_entries_max: int = 25_000  # one job pushes at most a quarter of the others out
    job_bytes_max: int = 64 << 20
    output_bytes_max: int = 16 << 20  # what is larger costs more to keep than most programs take


@dataclass(frozen=True, slots=True)
class Entry:
    """One answer. `output` as in jobbook.End."""

    day: int  # of its last use, since 1970: what is used every minute need not be written every minute
    job: str  # name of the one that computed it
    digest: Digest
    output: bytes
    blob: bytes
    workers: tuple[str, ...]
    policy: Policy
    at: int = 0  # this node's position in its own log when it was kept: see memory_voices.py

    def value(self) -> bytes:
        return records.pack([self.day, self.job, self.digest, self.output, self.blob, list(self.workers), self.policy.packed(), self.at])

    def writes(self, key: bytes, size: int) -> list[Write]:
        return [Put("memory", key, self.value()), Put("memory-age", _age(self.day, key), records.pack([size, self.blob]))]

    def end(self) -> End:
        return End("settled", self.output, self.blob, workers=self.workers, agreed=self.policy.agreed, words=KNOWN + self.job)


Kept = Callable[[int, NodeId], Replica | None]


class Memory:
    """Of one node."""

    def __init__(self, world: World, voices: Voices, rules: MemoryRules | None = None) -> None:
        self._world, self._journal, self._voices = world, world.journal, voices
        self.rules = rules or MemoryRules()
        self.entries, self.bytes = 0, 0
        self._dropped: dict[bytes, list[Write]] = {}  # by key: looked at, found wanting, and yet to be deleted

    def open(self) -> None:
        """Count what is there, and keep its blobs from the store's tidying."""
        self.entries, self.bytes = 0, 0
        for _, size, blob in self._ages():
            self.entries += 1
            self.bytes += size
            if blob and self._world.blobs.size(blob) is not None:
                self._world.blobs.pin(blob, "memory")

    # -- a job begins -------------------------------------------------------------------------------------------------

    def known(self, record: JobRecord, blocks: Iterable[Block]) -> Iterator[tuple[Block, bytes, Entry]]:
        """Which of these need nobody, the key that they are known by, and what they give."""
        manifest = record.job.manifest
        if self.off(record.id) or not may_keep(manifest):
            return
        subject, hearing = Subject(manifest), self._voices.hearing()
        for block in blocks:
            for key in subject.keys(block):
                entry = self._entry(key, hearing)
                if entry is not None and entry.policy.serves(manifest):
                    yield block, key, entry
                    break

    async def recall(self, record: JobRecord) -> int:
        """Settle what is known of a job that nobody has heard of. -> how many blocks."""
        if record.state != "waiting" or self._journal.scan("settled", record.id, 1):
            return 0
        writes: list[Write] = []
        jobs: Counter[str] = Counter()
        size = 0
        for start in range(0, len(record.blocks), BREATHE_EVERY):
            for block, key, entry in self.known(record, record.blocks[start : start + BREATHE_EVERY]):
                if entry.blob:
                    self._world.blobs.pin(Digest(entry.blob), f"job {record.name}")
                writes.append(entry.end().put(record.id, block.index))
                writes += self._used(key, entry)
                jobs[entry.job] += 1
                size += len(entry.output) + ROW_BYTES
            if size > COMMIT_BYTES:
                await self._journal.commit(writes, durable=False)
                writes, size = [], 0
            await trio.lowlevel.checkpoint()
        await self._drop()
        if jobs:
            note = in_words(jobs, len(record.blocks))
            await self._journal.commit([*writes, seen.first_note(record.id, note)])
        return jobs.total()

    def off(self, job: JobId) -> bool:
        """Does its person want neither?"""
        return self._journal.get("no-memory", job) is not None

    def _entry(self, key: bytes, hearing: Hearing) -> Entry | None:
        """What is kept under a key, unless somebody who gave it does not count any more: then it is dropped."""
        entry = None if key in self._dropped else self._whole(key)
        if entry is None or hearing(entry.workers, entry.policy.ring, entry.at):
            return entry
        age = _age(entry.day, key)
        if (row := self._journal.get("memory-age", age)) is not None:
            size, blob = records.load(row)
            self._dropped[key] = self._gone(age, int(size), Digest(blob))
        return None

    async def _drop(self) -> None:
        """Delete what was found wanting."""
        keys = list(self._dropped)
        for start in range(0, len(keys), AGES_A_PAGE):
            page = keys[start : start + AGES_A_PAGE]
            await self._journal.commit([write for key in page for write in self._dropped.get(key, [])], durable=False)
            for key in page:
                self._dropped.pop(key, None)

    def _whole(self, key: bytes) -> Entry | None:
        """What is kept under a key, if its output is here and is the one it was."""
        value = self._journal.get("memory", key)
        if value is None:
            return None
        try:
            day, job, name, output, blob, workers, policy, at = records.load(value)
            voices = tuple(map(str, workers))
            entry = Entry(int(day), str(job), Digest(name), bytes(output), bytes(blob), voices, Policy.unpacked(policy), int(at))
        except (ValueError, TypeError):
            return None  # of another version: computed again, and written over
        if entry.blob:
            return entry if self._world.blobs.size(Digest(entry.blob)) is not None else None
        return entry if output_name(entry.output) == entry.digest else None

    # -- a job ends ---------------------------------------------------------------------------------------------------

    async def remember(self, record: JobRecord, kept: Kept) -> int:
        """Keep what a job that has ended settled. kept: who said what of a block, in this life. -> how many blocks."""
        manifest = record.job.manifest
        if self.off(record.id) or not may_keep(manifest) or _wavered(record):
            return 0
        subject, new = Subject(manifest), _New()
        await self._drop()
        for at, block in enumerate(record.blocks):
            if at % BREATHE_EVERY == 0:
                await trio.lowlevel.checkpoint()
                hearing = self._voices.hearing()
            end = load_end(self._journal, record.id, block.index)
            if end is not None and (made := self._made(record, block, end, kept, subject)) is not None:
                self._add(new, hearing, *made)
            if new.entries >= self.rules.job_entries_max or new.bytes >= self.rules.job_bytes_max:
                break
            if new.waiting > COMMIT_BYTES:
                await self._journal.commit(new.take(), durable=False)
        await self._journal.commit(new.take(), durable=False)
        while self.entries > self.rules.entries_max or self.bytes > self.rules.bytes_max:
            await self._forget_oldest()
        return new.entries

    def _made(self, record: JobRecord, block: Block, end: End, kept: Kept, subject: Subject) -> tuple[bytes, Entry, int] | None:
        """(key, entry, bytes) of a block's end, unless it is not to be kept."""
        blob = Digest(end.blob)
        size = self._world.blobs.size(blob) if end.blob else len(end.output)
        is_value = end.output[:1] == VALUE or (end.blob and not end.output)
        if end.state != "settled" or not is_value or end.words.startswith(KNOWN) or size is None or size > self.rules.output_bytes_max:
            return None
        said = [kept(block.index, NodeId(worker)) for worker in end.workers]
        if any(one is not None and one.clock for one in said):
            return None
        same_always = bool(said) and all(one is not None and one.same_always for one in said)
        if end.agreed < 2 and not (same_always and said[0] is not None and said[0].owner == self._world.owner):
            return None
        name = blob if end.blob else output_name(end.output)
        policy = Policy.of(record.job.manifest, max(end.agreed, len(end.workers)))
        entry = Entry(self._today(), record.name, name, end.output, end.blob, end.workers, policy, self._voices.position())
        return subject.key(block, not same_always), entry, size + ROW_BYTES

    def _add(self, new: _New, hearing: Hearing, key: bytes, entry: Entry, size: int) -> None:
        if key in new.keys or not hearing(entry.workers, entry.policy.ring, entry.at):
            return
        before = self._entry(key, hearing)
        if before is not None and before.policy.agreed >= entry.policy.agreed:
            return  # what is known stays: who was given it once is given the same again
        day = entry.day if before is None else before.day  # of an unreadable one too, if it was written today
        if key in self._dropped:
            new.writes += self._dropped.pop(key)
        elif (row := self._journal.get("memory-age", _age(day, key))) is not None:
            self.entries -= 1
            self.bytes -= int(records.load(row)[0])
            new.writes.append(Delete("memory-age", _age(day, key)))
        if entry.blob:
            self._world.blobs.pin(Digest(entry.blob), "memory")
        new.add(key, entry.writes(key, size), size, len(entry.output))
        self.entries += 1
        self.bytes += size

    # -- what is used stays, what is not goes -------------------------------------------------------------------------

    def _today(self) -> int:
        return self._world.clock.unix() // DAY_S

    def _used(self, key: bytes, entry: Entry) -> list[Write]:
        """Today, if nothing says so yet."""
        today, old = self._today(), _age(entry.day, key)
        row = self._journal.get("memory-age", old) if entry.day < today else None
        if row is None:
            return []
        return [Delete("memory-age", old), *replace(entry, day=today).writes(key, int(records.load(row)[0]))]

    def _ages(self) -> Iterator[tuple[bytes, int, Digest]]:
        """(age and key, bytes, blob) of every entry, the one that was not used for longest first."""
        after = b""
        while rows := self._journal.scan("memory-age", b"", AGES_A_PAGE, after):
            for name, value in rows:
                size, blob = records.load(value)
                yield name, int(size), Digest(blob)
            after = rows[-1][0]

    async def _forget_oldest(self) -> None:
        """A page at most, as far as there is too much."""
        writes: list[Write] = []
        for name, size, blob in self._ages():
            within = self.entries <= self.rules.entries_max and self.bytes <= self.rules.bytes_max
            if within or len(writes) >= 2 * AGES_A_PAGE:
                break
            writes += self._gone(name, size, blob)
        else:
            self.entries, self.bytes = 0, 0  # whatever was counted: there is nothing left
        await self._journal.commit(writes, durable=False)

    def _gone(self, name: bytes, size: int, blob: Digest) -> list[Write]:
        if name[8:] not in self._dropped:  # else it was counted when it was dropped
            self.entries -= 1
            self.bytes -= size
        if blob:
            self._world.blobs.unpin(blob, "memory")
            self._world.blobs.discard(blob)
        return [Delete("memory-age", name), Delete("memory", name[8:])]

    async def forget_all(self) -> None:
        """By hand: `ctorrent gc`."""
        rows = list(self._ages())
        for start in range(0, len(rows), AGES_A_PAGE):
            await self._journal.commit([write for row in rows[start : start + AGES_A_PAGE] for write in self._gone(*row)], durable=False)


class _New:
    """What one job adds."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self.writes: list[Write] = []
        self.bytes, self.waiting = 0, 0

    @property
    def entries(self) -> int:
        return len(self.keys)

    def add(self, key: bytes, writes: list[Write], size: int, inline: int) -> None:
        self.keys.add(key)
        self.writes += writes
        self.bytes += size
        self.waiting += inline + ROW_BYTES

    def take(self) -> list[Write]:
        writes, self.writes, self.waiting = self.writes, [], 0
        return writes


def in_words(jobs: Counter[str], blocks: int) -> str:
    """For its person: what was not run, and where it is from."""
    named = [name for name, _ in jobs.most_common(JOBS_NAMED)]
    more = len(jobs) - len(named)
    whence = ", ".join(named) + (f" and {more} more" if more else "")
    known = "All" if jobs.total() == blocks else f"{jobs.total():,} of"
    return f"{known} {blocks:,} blocks were known from job{'s' if len(jobs) > 1 else ''} {whence}; memo: false runs them again."


def _age(day: int, key: bytes) -> bytes:
    return day.to_bytes(8, "big") + key


def _wavered(record: JobRecord) -> bool:
    """Was it paused because its program does not agree with itself?"""
    links = [codec.open_amendment(sealed, record.job.manifest.requester) for sealed in record.amendments]
    return any(link.kind is AmendmentKind.PAUSE and link.reason != PAUSED_BY_HAND for link in links)
