"""Jobs this node requested, as the journal keeps them: what was signed, what was decided, how it ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ctorrent.canon import encode
from ctorrent.errors import LocalError
from ctorrent.model.block import Block, block_digest
from ctorrent.model.ids import Digest, JobId, show_job
from ctorrent.model.job import Amendment, AmendmentKind, SignedManifest
from ctorrent.node import records
from ctorrent.node.records import u32
from ctorrent.ports import Journal, Put
from ctorrent.seal import Sealed, Signer
from ctorrent.wire import codec

OPEN_STATES = ("waiting", "running", "paused")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a rehearsal measured and made of it, in seconds: until the job itself has shown better. Not journalled."""

    block_s: float = 0.0  # one block, once its process runs
    start_s: float = 0.0  # a process until its first block begins: imports
    job_s: float = 0.0  # the whole job; 0: nobody knows


def expected(options: dict[str, Any]) -> Expected:
    """Of a submission's options; what is no time counts as not known."""
    given = options.get("expected")
    found = given if isinstance(given, dict) else {}
    times = {name: found.get(name) for name in ("block_s", "start_s", "job_s")}
    return Expected(**{n: float(t) for n, t in times.items() if isinstance(t, int | float) and 0 <= t < 1e9})


@dataclass(slots=True)
class JobRecord:
    """One requested job. `state` as in status.JobStatus."""

    job: SignedManifest
    draw_secret: bytes  # 32 random bytes: its hash is in the manifest
    job_secret: bytes  # 32 random bytes: opens the job's tag in the ledger
    submitted_unix: int
    state: str = "waiting"
    reason: str = ""
    amendments: list[Sealed] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    digests: list[Digest] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    answer: bytes = b""  # blob of the reduced answer's canonical value; empty: there is none
    answer_error: str = ""  # why there is none
    own_work: bool = True  # this node's own worker may take part
    expected: Expected = Expected()
    files: list[Digest] = field(default_factory=list)  # large ones beside the job file: not kept, the job's list names them

    @property
    def id(self) -> JobId:
        return self.job.id

    @property
    def name(self) -> str:
        return show_job(self.id)

    @property
    def open(self) -> bool:
        return self.state in OPEN_STATES

    def head(self) -> Digest:
        """Digest of the last amendment, or the job id."""
        return codec.amendment_id(self.amendments[-1]) if self.amendments else Digest(bytes(self.id))

    def put(self) -> Put:
        """The record that changes as the job goes on; blocks and amendments have their own."""
        fields = [
            records.pack_sealed(self.job.sealed), self.draw_secret, self.job_secret, self.submitted_unix,
            self.state, self.reason, self.report, self.answer, self.answer_error, self.own_work,
        ]  # fmt: skip
        return Put("job", self.id, encode(fields))

    def amend(self, amendment: Amendment, signer: Signer) -> Put:
        """Sign the next link of the job's chain; `amendment`'s seq and prev are this record's to fill in."""
        sealed = codec.seal_amendment(amendment, signer)
        self.amendments.append(sealed)
        return Put("amendment", self.id + u32(amendment.seq), encode(records.pack_sealed(sealed)))

    def link(self, kind: AmendmentKind, reason: str, draw_secret: bytes, signer: Signer) -> Put:
        """The next link that carries no blocks: a pause, a cancel, the close."""
        link = Amendment(self.id, len(self.amendments) + 1, self.head(), kind, reason=reason, draw_secret=draw_secret)
        return self.amend(link, signer)

    def cancelled_why(self) -> str | None:
        """The reason its person gave for cancelling it; None when nobody did."""
        for sealed in reversed(self.amendments):
            link = codec.open_amendment(sealed, self.job.manifest.requester)
            if link.kind is AmendmentKind.CANCEL:
                return link.reason
        return None

    def digest_blocks(self) -> None:
        """Name every block. Pure work: ~8 µs a block."""
        manifest = self.job.manifest
        environment = codec.environment_bytes(manifest.environment)
        self.digests = [block_digest(self.id, block, manifest.program.code, environment) for block in self.blocks]


LISTED_MAX = 5  # jobs that an error lists


def find(records: Iterable[JobRecord], word: str, one: bool = False) -> JobRecord:
    """The job that a person means: by its shown id, else by its name, else by the beginning of its id.

    records: in the order they came. Of several with the name it is the newest; with `one` none is chosen for the person.
    Raises LocalError.
    """
    wanted = word.strip()
    newest = sorted(records, key=lambda record: record.submitted_unix)[::-1]
    exact = [record for record in newest if record.name == wanted.lower()]
    called = [record for record in newest if wanted and record.job.manifest.name == wanted]
    begun = [record for record in newest if wanted and record.name.startswith(wanted.lower())]
    found = exact or called or begun
    if not found:
        raise LocalError(f"there is no job {word!r:.100} here", "`ctorrent jobs` lists them.")
    if len(found) > 1 and (one or found is begun):
        listed = ", ".join(record.name for record in found[:LISTED_MAX]) + (" …" if len(found) > LISTED_MAX else "")
        raise LocalError(f"{word!r:.100} names {len(found)} jobs", f"They are, newest first: {listed}. Say which.")
    return found[0]


def load_jobs(journal: Journal) -> Iterator[JobRecord]:
    """Every job in the journal; blocks only of those still open, since they may be many."""
    for _, value in journal.scan("job"):
        sealed, draw, secret, submitted, state, reason, report, answer, answer_error, own = records.load(value)
        job = codec.open_manifest(records.unpack_sealed(sealed))
        record = JobRecord(
            job, draw, secret, submitted, state, reason, report=report, answer=answer, answer_error=answer_error, own_work=own
        )
        for _, link in journal.scan("amendment", job.id):
            record.amendments.append(records.unpack_sealed(records.load(link)))
        if record.open:
            load_blocks(journal, record)
            record.digest_blocks()
        yield record


def load_blocks(journal: Journal, record: JobRecord) -> None:
    """Blocks of a job, in order."""
    record.blocks = [
        records.unpack_block(parts) for _, value in journal.scan("block", record.id) for parts in records.load(value)
    ]


# One block's end: [state, output or b"", blob or b"", failure text, [workers], agreed, seconds, words, log]


@dataclass(frozen=True, slots=True)
class End:
    """How a block ended. `output` is Outcome.output() when small, else `blob` holds it."""

    state: str  # "settled", "failed", "disputed", "cancelled"
    output: bytes = b""
    blob: bytes = b""
    failure_text: str = ""
    workers: tuple[str, ...] = ()
    agreed: int = 0
    seconds: float = 0.0
    words: str = ""
    log: bytes = b""

    def put(self, job: JobId, index: int) -> Put:
        fields = [
            self.state, self.output, self.blob, self.failure_text, list(self.workers), self.agreed, self.seconds,
            self.words, self.log,
        ]  # fmt: skip
        return Put("settled", job + u32(index), encode(fields))


def load_end(journal: Journal, job: JobId, index: int) -> End | None:
    """How a block ended, or None while it has not."""
    value = journal.get("settled", job + u32(index))
    return None if value is None else _end(value)


def _end(value: bytes) -> End:
    state, output, blob, text, workers, agreed, seconds, words, log = records.load(value)
    return End(state, output, blob, text, tuple(workers), agreed, seconds, words, log)


def load_ends(journal: Journal, job: JobId) -> Iterator[tuple[int, End]]:
    """(index, end) of every block that ended, in order: what a restart begins with."""
    for key, value in journal.scan("settled", job):
        yield int.from_bytes(key[len(job) :], "big"), _end(value)


def ended_blobs(journal: Journal, job: JobId) -> list[bytes]:
    """Blobs that hold outputs of ended blocks."""
    return [blob for _, value in journal.scan("settled", job) if (blob := records.load(value)[2])]
