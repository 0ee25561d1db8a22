"""Jobs this node requested, as the journal keeps them: what was signed, what was decided, how it ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from ctorrent.canon import encode
from ctorrent.errors import LocalError
from ctorrent.model.block import Block, block_digest
from ctorrent.model.ids import Digest, JobId, NodeId, show_job
from ctorrent.model.job import Amendment, AmendmentKind, SignedManifest
from ctorrent.node import records
from ctorrent.node.records import u32
from ctorrent.ports import Delete, Journal, Put, Write
from ctorrent.seal import Sealed, Signer
from ctorrent.verify.rulings import printable
from ctorrent.verify.words import Restored, Voice
from ctorrent.wire import codec

OPEN_STATES = ("waiting", "running", "paused")
REPORTS_READ = 1000  # of ended jobs, kept as they were read: the longest page of a list, about 7 MB


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


def noted(options: dict[str, Any]) -> str:
    """What the rehearsal said of the job's comparison, likewise: its person's own words by then."""
    given = options.get("expected")
    return printable(str(given.get("lax") or "")) if isinstance(given, dict) else ""


class KeptReport(Mapping[str, Any]):
    """A report as the journal holds it. Read when somebody looks: decoding ten thousand takes seconds, and 70 MB."""

    __slots__ = ("_raw",)

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def read(self) -> dict[str, Any]:
        """All of it, to be changed at will on its first level."""
        return dict(_read_report(self._raw))

    def __getitem__(self, key: str) -> Any:
        return _read_report(self._raw)[key]

    def __iter__(self) -> Iterator[str]:
        return iter(_read_report(self._raw))

    def __len__(self) -> int:
        return len(_read_report(self._raw))


@lru_cache(maxsize=REPORTS_READ)
def _read_report(raw: bytes) -> dict[str, Any]:
    found: dict[str, Any] = records.load(raw)
    return found


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
    report: Mapping[str, Any] = field(default_factory=dict)
    answer: bytes = b""  # blob of the reduced answer's canonical value; empty: there is none
    answer_error: str = ""  # why there is none
    own_work: bool = True  # this node's own worker may take part
    own_only: bool = False  # nodes of this node's own owner, and no others; in the journal as `own-only`
    expected: Expected = Expected()
    lax: str = ""  # a sentence: its comparison was seen to take different blocks' results for the same
    memo: bool = True  # what is known of its blocks is not run again, and its results are remembered; see node/memory.py
    growth: str = ""  # "open": blocks may be appended; "sealed": they might; "": it was never open
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

    @property
    def growing(self) -> bool:
        """May blocks be appended?"""
        return self.growth == "open"

    def head(self) -> Digest:
        """Digest of the last amendment, or the job id."""
        return codec.amendment_id(self.amendments[-1]) if self.amendments else Digest(bytes(self.id))

    def put(self) -> Put:
        """The record that changes as the job goes on; blocks and amendments have their own."""
        fields = [
            records.pack_sealed(self.job.sealed), self.draw_secret, self.job_secret, self.submitted_unix,
            self.state, self.reason, encode(dict(self.report)) if self.report else b"", self.answer, self.answer_error, self.own_work, self.growth, self.lax,
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

    def closed(self) -> bool:
        """Is its chain at its end, and so its draw secret revealed?"""
        kinds = (codec.open_amendment(sealed, self.job.manifest.requester).kind for sealed in reversed(self.amendments))
        return AmendmentKind.CLOSE in kinds

    def digest_blocks(self) -> None:
        """Name every block."""
        self.digests = self.digests_of(self.blocks)

    def digests_of(self, blocks: Sequence[Block]) -> list[Digest]:
        """Names of some blocks of this job's. Pure work: ~8 µs a block."""
        manifest = self.job.manifest
        environment = codec.environment_bytes(manifest.environment)
        return [block_digest(self.id, block, manifest.program.code, environment) for block in blocks]

    def links_of(self, kind: AmendmentKind) -> list[Amendment]:
        """Of its chain, those of one kind, in order."""
        links = (codec.open_amendment(sealed, self.job.manifest.requester) for sealed in self.amendments)
        return [link for link in links if link.kind is kind]

    def named_blocks(self) -> int:
        """How many blocks its chain says it has."""
        return sum(link.count for link in self.links_of(AmendmentKind.BLOCKS))


ENDS_A_PAGE = 256  # all with the same first three bytes of their index
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
    forgetful, private, chains = _keys(journal, "no-memory"), _keys(journal, "own-only"), _chains(journal)
    for _, value in journal.scan("job"):
        sealed, draw, secret, submitted, state, reason, report, answer, answer_error, own, *more = records.load(value)
        job = codec.open_manifest(records.unpack_sealed(sealed))
        record = JobRecord(
            job, draw, secret, submitted, state, reason, report=_report(report), answer=answer, answer_error=answer_error, own_work=own,
            growth=str(more[0]) if more else "", lax=str(more[1]) if len(more) > 1 else "",  # not in one of an older version
        )  # fmt: skip
        record.memo, record.own_only = job.id not in forgetful, job.id in private
        record.amendments = chains.pop(job.id, [])
        if record.open:
            load_blocks(journal, record)
            record.digest_blocks()
        yield record


def _report(held: bytes | dict[str, Any]) -> Mapping[str, Any]:
    """A map in a record of an older version; nothing of a job that has not ended."""
    if isinstance(held, dict):
        return held
    return KeptReport(held) if held else {}


def _keys(journal: Journal, space: str) -> set[bytes]:
    return {key for key, _ in journal.scan(space)}


def _chains(journal: Journal) -> dict[bytes, list[Sealed]]:
    """By job; one question to the journal instead of one for each."""
    found = defaultdict[bytes, list[Sealed]](list)
    for key, link in journal.scan("amendment"):
        found[key[:-4]].append(records.unpack_sealed(records.load(link)))
    return found


def load_blocks(journal: Journal, record: JobRecord) -> None:
    """Blocks of a job, in order."""
    record.blocks = [
        records.unpack_block(parts) for _, value in journal.scan("block", record.id) for parts in records.load(value)
    ]


# One block's end: [state, output or b"", blob or b"", failure text, [workers], agreed, seconds, words, log]


@dataclass(frozen=True, slots=True)
class End:
    """How a block ended. `output` is Outcome.output() when small, else `blob` holds it."""

    state: str  # "provisional", "settled", "failed", "disputed", "cancelled"
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
        return Put("settled", job + u32(index), records.pack(fields))


def load_end(journal: Journal, job: JobId, index: int) -> End | None:
    """How a block ended, or None while it has not."""
    value = journal.get("settled", job + u32(index))
    if value is None:
        return None
    end = _end(value)
    return _final(end, journal.get("final", job + u32(index))) if end.state == "provisional" else end


def _end(value: bytes) -> End:
    state, output, blob, text, workers, agreed, seconds, words, log = records.load(value)
    return End(state, output, blob, text, tuple(workers), agreed, seconds, words, log)


def load_ends(journal: Journal, job: JobId) -> Iterator[tuple[int, End]]:
    """(index, end) of every block that ended, or has a provisional result, in order: what a restart begins with."""
    for key, value in journal.scan("settled", job):
        end = _end(value)
        yield int.from_bytes(key[len(job) :], "big"), _final(end, journal.get("final", key)) if end.state == "provisional" else end


# An audited block's result is written once, as provisional. Beside it:
#   voice   job id ‖ u32 index   [output digest, [[worker, owner, fingerprint, order, alone, own] …], [[worker, right] …]],
#                                until it is final; the last: of whose answers the outcome was counted, where not all were right
#   final   job id ‖ u32 index   [how many agree], from then on


def put_voices(
    job: JobId, index: int, digest: Digest, voices: Sequence[Voice], counted: Sequence[tuple[NodeId, bool]] | None = None
) -> Put:
    """Whose word a provisional block stands on. counted: None where all were right, if they were several."""
    said = [[one.worker, one.owner, one.fingerprint, one.order, one.alone, one.own] for one in voices]
    return Put("voice", job + u32(index), records.pack([digest, said] if counted is None else [digest, said, [list(one) for one in counted]]))


def load_voices(journal: Journal, job: JobId) -> Iterator[Restored]:
    """Blocks that are provisional, and whose word each stands on."""
    for key, value in journal.scan("voice", job):
        digest, said, *counted = records.load(value)  # counted, and what follows a fingerprint: not in one of an older version
        voices = [
            Voice(NodeId(worker), str(owner), Digest(fingerprint), Digest(digest), None, *more) for worker, owner, fingerprint, *more in said
        ]
        usual = [(voice.worker, True) for voice in voices] if len(voices) > 1 else []
        right = [(NodeId(worker), bool(ok)) for worker, ok in counted[0]] if counted else usual
        yield Restored(int.from_bytes(key[len(job) :], "big"), Digest(digest), voices, (), right)


def put_final(job: JobId, index: int, agreed: int) -> list[Write]:
    """A provisional block stays as it is."""
    return [Put("final", job + u32(index), records.pack([agreed])), Delete("voice", job + u32(index))]


def _final(end: End, value: bytes | None) -> End:
    return end if value is None else replace(end, state="settled", agreed=records.load(value)[0])


def each_end(journal: Journal, job: JobId, blocks: int) -> Iterator[tuple[int, End]]:
    """The same with a part of them in memory at a time: outputs may be large. blocks: how many the job has."""
    for page in range(0, blocks, ENDS_A_PAGE):
        for key, value in journal.scan("settled", job + u32(page)[:3]):
            yield int.from_bytes(key[len(job) :], "big"), _end(value)


def listed_blobs(journal: Journal, job: JobId) -> list[bytes] | None:
    """ended_blobs() of a job that has ended, as an earlier start listed them; None: none did."""
    known = journal.get("outputs", job)
    return None if known is None else list(records.load(known))


def put_blobs(job: JobId, blobs: list[bytes]) -> Put:
    return Put("outputs", job, records.pack(blobs))


def ended_blobs(journal: Journal, job: JobId) -> list[bytes]:
    """Blobs that hold outputs of ended blocks."""
    return [blob for _, value in journal.scan("settled", job) if (blob := records.load(value)[2])]
