"""After a damaged journal was put aside: what is lost in words, and jobs that cannot go on without it."""

from __future__ import annotations

import logging
from pathlib import Path

from ctorrent.door import NOTICE
from ctorrent.errors import CTorrentError
from ctorrent.model.ids import JobId, show_job
from ctorrent.node import records
from ctorrent.node.jobbook import JobRecord, load_end, load_jobs
from ctorrent.ports import Delete, Journal
from ctorrent.seal import DIGEST_BYTES
from ctorrent.store.folder import replace
from ctorrent.store.salvage import Loss
from ctorrent.wire import codec

log = logging.getLogger(__name__)

# What a person calls the records of a space; others are counted together as "small records".
_NAMES = {
    "entry": "ledger entries", "fork": "fork proofs", "job": "jobs", "block": "pieces of jobs' lists of blocks",
    "settled": "results of blocks", "amendment": "changes of jobs", "person": "friends", "invite": "invites",
    "contact": "addresses of peers", "undelivered": "results owed to others", "swarm": "memberships",
    "dossier": "signed results of workers",
}  # fmt: skip
_BACK = frozenset({"entry", "fork"})
# Records of one job, whose keys begin with its id: all go with it.
_OF_JOB = ("job", "amendment", "block", "settled", "voice", "final", "verdict", "tallied", "against", "seen", "learned", "given", "round", "dossier", "outputs")
_NAME_IT = ("settled", "block", "amendment", "voice")  # those that are there only while their job is: they name one that is lost
_NOTICE_BYTES_MAX = 64 << 10  # several repairs that nobody was there to read of; what is older goes first


async def mend(journal: Journal, loss: Loss) -> list[str]:
    """Take out jobs whose records have gaps. -> what happened, a sentence each, for whoever starts the node."""
    finding = " ".join(loss.finding.replace("*** in database main ***", "").split())  # SQLite says it in several lines
    notes = [f"The journal was damaged ({finding}); it was repaired, and the damaged file kept as {loss.aside}."]
    notes.append(f"Kept: {_counts(loss.kept) or 'nothing'}.")
    if loss.doubtful:
        notes.append(f"Of these, perhaps not in their last state: {_counts(loss.doubtful)}.")
    missing = _counts(loss.lost)
    unread = f"what lay in {loss.unread} of {loss.pages} pages that do not read" if loss.unread else ""
    notes.append(f"Lost: {' and '.join(part for part in (missing, unread) if part) or 'nothing that is known of'}.")
    if loss.unread or loss.lost or not loss.kept or set(loss.doubtful) & _BACK:
        notes.append("Ledger entries, this node's own and others', come back from peers as they are met; keys and files were not touched.")
    if loss.lost.get("person") or not loss.kept or (loss.unread and not loss.kept.get("person")):  # unread: they may have been there
        notes.append("Name your friends again (ctorrent friend add), or join with a new invite.")
    for job, why in await _broken_jobs(journal, loss.jobs):
        notes.append(f"The job {job} is gone: {why}. Submit it again.")
    ended = [record for record in load_jobs(journal) if not record.open]
    return [*notes, *(f"Of the job {record.name}, which had ended, {why}." for record in ended if (why := _ended_gap(journal, record)))]


def _counts(found: dict[str, int]) -> str:
    named = [(_NAMES[space], count) for space, count in sorted(found.items(), key=lambda item: -item[1]) if space in _NAMES]
    small = sum(count for space, count in found.items() if space not in _NAMES)
    words = [f"{count:,} {name if count > 1 else _one(name)}" for name, count in named]
    return ", ".join([*words, f"{small:,} small record{'s' * (small > 1)}"] if small else words)


def _one(name: str) -> str:
    return {"ledger entries": "ledger entry", "memberships": "membership", "addresses of peers": "address of a peer"}.get(
        name, name.replace("pieces", "piece").replace("results", "result").replace("changes", "change").removesuffix("s" if " of " not in name else "")
    )


def remember(data_dir: Path, notes: list[str]) -> tuple[str, ...]:
    """Keep words about a repair in the data folder until a person saw them. -> all that wait there, oldest first.

    The node that repairs is often one that a command started for itself, whose own words go to a file.
    """
    path = data_dir / NOTICE
    try:
        waiting = path.read_text("utf-8", "replace").splitlines() if path.exists() else []
        if notes:
            replace(path, "\n".join([*waiting, *notes, ""]).encode()[-_NOTICE_BYTES_MAX:])
    except OSError as error:
        log.warning("what was repaired could not be written to %s: %s", path, error.strerror)
        waiting = []
    return (*waiting, *notes)


async def _broken_jobs(journal: Journal, lost: tuple[bytes, ...]) -> list[tuple[str, str]]:
    """(what people call it, why) of jobs that were taken out, so that the others start. lost: ids whose own record is known to be lost."""
    whole = {key for key, _ in journal.scan("job")}
    orphans = {key[:DIGEST_BYTES] for space in _NAME_IT for key, _ in journal.scan(space)} | set(lost)
    found = [(key, _gap(journal, JobId(key)) if key in whole else "its description is lost") for key in sorted(whole | orphans)]
    gone: list[tuple[str, str]] = []
    for key, why in found:
        if why:
            gone.append((show_job(JobId(key)), why))
            rows = [(space, row) for space in _OF_JOB for row, _ in journal.scan(space, key)]
            await journal.commit([Delete(space, row) for space, row in rows])
    return gone


def _gap(journal: Journal, job: JobId) -> str:
    """What a job lacks to go on; "" for one that is whole, or has ended."""
    try:
        (record,) = [record for record in load_jobs(journal) if record.id == job]
        return (_chain_gap(record) or _block_gap(journal, record)) if record.open else ""
    except CTorrentError as error:
        return error.message


def _chain_gap(record: JobRecord) -> str:
    links = [codec.open_amendment(sealed, record.job.manifest.requester) for sealed in record.amendments]
    if [link.seq for link in links] != list(range(1, len(links) + 1)):
        return "of its changes some are lost"
    return ""


def _block_gap(journal: Journal, record: JobRecord) -> str:
    """Blocks are listed in pieces, each under the index of its first."""
    expected = 0
    for key, value in journal.scan("block", record.id):
        if int.from_bytes(key[len(record.id) :], "big") != expected:
            return "of its blocks some are lost"
        expected += len(records.load(value))
    return "of its blocks some are lost" if expected != record.named_blocks() else ""


def _ended_gap(journal: Journal, record: JobRecord) -> str:
    """What of an ended job is lost; "" where nothing is known to be. The rest of it stays, and is shown."""
    settled = record.state == "settled"  # one that ended otherwise may lack a close, and results
    if _chain_gap(record) or (settled and not record.closed()):
        return "some signed changes are lost: no receipt can be made of it"
    named = record.named_blocks()
    listed = sum(len(records.load(value)) for _, value in journal.scan("block", record.id))
    if listed != named:
        return f"{named - listed:,} of {named:,} blocks are lost: neither their results nor a receipt can be shown"
    lost = sum((end := load_end(journal, record.id, index)) is None or end.state == "provisional" for index in range(named)) if settled else 0
    return f"{lost:,} of {named:,} results {'is' if lost == 1 else 'are'} lost" if lost else ""
