"""`ctorrent verify`: a receipt file read, some of its blocks run again, and one sentence about both. Needs no node, no key, no network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import trio

from ctorrent.aggregate.reduce import is_built_in, reduce_blocks
from ctorrent.errors import CTorrentError, LocalError, PeerError, WorkError
from ctorrent.model.ids import Digest, show_job
from ctorrent.model.job import Equality
from ctorrent.node.answer import ANSWER_BYTES_MAX
from ctorrent.node.receipt_book import SETTLED, Book
from ctorrent.node.receipt_check import Checking
from ctorrent.node.receipt_compare import Comparing, second_look
from ctorrent.node.receipt_place import Wanted, place
from ctorrent.node.receipt_read import read
from ctorrent.node.receipt_rerun import Rerun, Row, drawn, explain, runnable
from ctorrent.node.receipt_source import Source
from ctorrent.node.receipt_words import Finding, findings, support
from ctorrent.seal import digest
from ctorrent.verify import calibrate
from ctorrent.verify.calibrate import Tolerances, class_of

Plain = dict[str, Any]
Told = Callable[[str], None]
GOOD, WRONG, UNKNOWN = 0, 1, 2  # exit codes
# What seal.verify says names the domain that was signed under: of use in a log, not to a person.
_OF_FILE = re.compile(r"\bctorrent/portable/\d+: the signature does not verify")
_OF_PART = re.compile(r"\bctorrent/[a-z]+/\d+: the signature does not verify")


@dataclass(frozen=True, slots=True)
class Sample:
    """Which blocks are run again: these, else so many at random; all where `count` is None."""

    count: int | None = 5
    seed: int = 0
    blocks: tuple[int, ...] = ()


def verify(path: Path, sample: Sample, wanted: Wanted, told: Told = lambda words: None) -> Plain:
    """Blocking. -> {"code", "sentence", "findings", "rows", …}, plain data. Raises LocalError for what is no such file."""
    with _opened(path) as file:
        try:
            book = read(file, lambda done: told(f"Checking signatures … {done:,}"))
        except PeerError as error:
            return _broken(path, error)
        except OSError as error:  # it opened, and does not read: a bad disk, a file that is none
            raise LocalError(f"{path} cannot be read: {error.strerror}.", "A receipt is a file, such as JOB.ctr.") from None
        try:
            source = Source(file, book)
            second_look(book, source, trio.run(_tolerances, book, source))
        except PeerError as error:
            return _broken(path, error)
        rows = findings(book)
        rows += _answered(book, source)
        again, reruns = trio.run(partial(_rerun, file, book, sample, wanted, told))
    return _result(path, book, [*rows, *again], reruns, sample)


def _opened(path: Path) -> BinaryIO:
    try:
        if path.exists() and not path.is_file():
            raise LocalError(f"{path} is {'a folder' if path.is_dir() else 'no plain file'}, not a receipt.", "A receipt is a file, such as JOB.ctr.")
        if not path.exists():
            raise LocalError(f"There is no file {path}.", "It is made where the job was submitted: ctorrent receipt JOB")
        return path.open("rb")
    except OSError as error:
        raise LocalError(f"{path} cannot be read: {error.strerror}.") from None


def _broken(path: Path, error: PeerError) -> Plain:
    message = _OF_FILE.sub("the file's signature does not hold", error.message)
    message = _OF_PART.sub("its signature does not hold", message)
    words = f"{message[:1].upper()}{message[1:]}.".replace("..", ".")
    return {
        "file": str(path), "job": "", "code": WRONG, "rows": [], "findings": [asdict(Finding("file", "wrong", words))],
        "sentence": f"Nothing of this file can be believed: {message}.", "seed": 0, "checked": 0, "blocks": 0,
    }  # fmt: skip


# -- the answer -------------------------------------------------------------------------------------------------------


def _answered(book: Book, source: Source) -> list[Finding]:
    """The answer made anew of the outputs, where all of them are inside and the reducer is one of ours."""
    blocks, answer, spec = book.blocks, book.answer, book.job.manifest.program.reduce
    settled = [index for index in range(len(blocks)) if blocks.states[index] == SETTLED]
    if answer is None or answer.blob is None or not is_built_in(spec) or not settled or not all(blocks.inside[index] for index in settled):
        return []
    values, size = [], 0
    for index in settled:
        line = source.line(index)
        if line.data is not None and line.data[:1] == b"\x00":
            values.append((index, line.block.params, line.data[1:]))
            size += len(line.data)
        if size > ANSWER_BYTES_MAX:
            return []
    try:
        made = reduce_blocks(spec, values)
    except (WorkError, ValueError) as error:
        return [Finding("answer", "wrong", f"The outputs do not reduce by {spec!r}: {error}.")]
    if digest("ctorrent/blob/1", made) == answer.blob:
        return [Finding("answer", "proven", f"Made anew from the {len(values):,} outputs by {spec!r}, the answer is the one that is named.")]
    return [Finding("answer", "wrong", f"Made anew from the outputs by {spec!r}, the answer is another than the one that is named.")]


# -- again ------------------------------------------------------------------------------------------------------------


async def _rerun(file: BinaryIO, book: Book, sample: Sample, wanted: Wanted, told: Told) -> tuple[list[Finding], list[Row]]:
    able = runnable(book)
    chosen = _chosen(book, able, sample)
    if not chosen:
        return ([] if sample.count == 0 else [Finding("run again", "open", _why_none(book))]), []
    source = Source(file, book)
    try:
        async with place(book, source, wanted) as here:
            known = any(fingerprint == here.environment.fingerprint for fingerprint, _ in book.classes)
            told(f"Running {len(chosen):,} blocks again, each for {here.block_s:g} s at most …")
            mine = class_of(here.hardware_class, here.environment.fingerprint)
            verify = book.job.manifest.verify
            script = here.judge if verify.equal is Equality.SCRIPT else None
            comparing = Comparing(book, await _tolerances(book, source), mine, known, script)
            checking = Checking(book, here.judge) if verify.check and here.judge is not None else None
            rerun = Rerun(book, source, here, comparing, checking)
            rows = await rerun.run(chosen, lambda done: told(f"Running blocks again … {done:,} of {len(chosen):,}"))
            rows += [Row(index, "open", "it has no result, or its inputs are not in the file") for index in sample.blocks if index not in chosen]
    except (CTorrentError, BaseExceptionGroup) as found:
        error = explain(found)
        hint = f" {error.hint}" if error.hint else ""
        return [Finding("run again", "open", f"No block could be run here: {error.message.rstrip('.')}.{hint}")], []
    where = f"in {here.level.name.lower()}, Python {here.environment.python}" + (
        ": an environment that results came from" if known else ": another environment than the workers', compared within the job's policy"
    )
    return [_rerun_words(book, rows, where, len(able), here.block_s), *_check_words(book, rows)], rows


async def _tolerances(book: Book, source: Source) -> Tolerances:
    """The job's own, with those that were fitted where the file holds them."""
    fitted = Digest(book.chain.calibration)
    found = calibrate.decode(await source.whole(fitted, calibrate.CALIBRATION_BYTES_MAX)) if fitted in book.data else None
    return Tolerances(book.job.manifest.verify, found)


def _chosen(book: Book, able: list[int], sample: Sample) -> list[int]:
    if sample.blocks:
        absent = [index for index in sample.blocks if index >= len(book.blocks)]
        if absent:
            raise LocalError(f"There is no block {absent[0]}.", f"The job has blocks 0 to {len(book.blocks) - 1}.")
        return sorted(set(sample.blocks) & set(able))
    return able if sample.count is None else drawn(able, sample.count, sample.seed)


def _why_none(book: Book) -> str:
    if book.job.manifest.program.code not in book.data:
        return "No block could be run: the program is not in the file."
    return "No block could be run: none has a result and all its inputs in the file. One made with --with-data has them."


def _rerun_words(book: Book, rows: Sequence[Row], where: str, able: int, block_s: float) -> Finding:
    counts = Counter(row.verdict for row in rows)
    parts = [(counts["same"], "gave the same bytes"), (counts["near"], "the same within the job's policy"), (counts["different"], "gave another result"),
             (counts["wavers"], "gave another each time"), (counts["open"], "could not be compared"),
             (counts["unfinished"], f"not finished within {block_s:g} s (--seconds gives more)")]  # fmt: skip
    words = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    verdict = "wrong" if counts["different"] else "open" if counts["open"] or counts["wavers"] or counts["unfinished"] else "proven"
    few = f" {len(book.blocks) - able:,} blocks cannot be run from this file." if able < len(book.blocks) else ""
    return Finding("run again", verdict, f"{len(rows):,} of {len(book.blocks):,} blocks ran again here ({where}): {words}.{few}")


def _check_words(book: Book, rows: Sequence[Row]) -> list[Finding]:
    """Of a job with a check: what it said of these blocks' outputs."""
    check, judged = book.job.manifest.verify.check, [row for row in rows if row.check]
    if not check or not judged:
        return []
    refused, unsaid = ([row for row in judged if row.check == state] for state in ("refused", "open"))
    parts = [f"the job's {check} accepts {len(judged) - len(refused) - len(unsaid):,} of {len(judged):,} outputs of blocks that ran again here"]
    if refused:
        parts.append(f"it refuses that of {_blocks(refused)}: {refused[0].check_words}")
    if unsaid:
        parts.append(f"it could not judge that of {_blocks(unsaid)}: {unsaid[0].check_words}")
    words = "; ".join(parts)
    return [Finding("check", "wrong" if refused else "open" if unsaid else "proven", f"{words[0].upper()}{words[1:]}.")]


def _blocks(rows: Sequence[Row]) -> str:
    names = [f"{row.index:,}" for row in rows]
    return f"block{'s' if len(names) > 1 else ''} {', '.join(names[:10])}{' …' if len(names) > 10 else ''}"


# -- one sentence -----------------------------------------------------------------------------------------------------


def _result(path: Path, book: Book, rows: list[Finding], reruns: list[Row], sample: Sample) -> Plain:
    rows = [row for row in rows if not (row.what == "answer" and row.verdict == "claimed" and any(r.what == "answer" and r is not row for r in rows))]
    wrong = [row for row in rows if row.verdict == "wrong"]
    asked = sample.count != 0
    good = sum(row.verdict in ("same", "near") for row in reruns)
    short = asked and (good < len(reruns) or not reruns or any(row.check == "open" for row in reruns))
    code = WRONG if wrong else UNKNOWN if short else GOOD
    return {
        "file": str(path), "job": show_job(book.job.id), "name": book.job.manifest.name, "requester": book.job.manifest.requester,
        "owner": book.owner or "", "state": book.head.state, "blocks": len(book.blocks), "code": code, "seed": sample.seed,
        "checked": good, "sentence": _sentence(book, wrong, reruns, asked), "findings": [asdict(row) for row in rows],
        "rows": [asdict(row) for row in reruns],
    }  # fmt: skip


def _sentence(book: Book, wrong: list[Finding], reruns: list[Row], asked: bool) -> str:
    if wrong:
        bad = [row for row in reruns if row.verdict == "different" or row.check == "refused"]
        blocks = f" ({_blocks(bad)})" if bad else ""
        return f"Not to be believed: {', '.join(dict.fromkeys(row.what for row in wrong))} {'is' if len(wrong) == 1 else 'are'} wrong{blocks}."
    held = support(book)
    signed, settled = held.twice + held.once, held.twice + held.once + held.none
    proven = f"Proven: the program, the {len(book.blocks):,} blocks and {signed:,} of {settled:,} settled outputs are what was signed"
    again = _again(book, reruns)
    missing = "; nothing was run again" if not reruns else ""
    why = "" if not asked or reruns else ", because that could not be done here"
    people = " Claimed: that the signers are different people." if held.twice else ""
    lone = f" One signer only: {held.lone:,} of {settled:,} settled outputs." if held.lone else ""
    return f"{proven}{again}{missing}{why}.{lone}{_unasked(book, reruns)}{people}"


def _unasked(book: Book, reruns: Sequence[Row]) -> str:
    """Where the job has a check, of how many outputs it was not asked, or did not say."""
    check, unsaid = book.job.manifest.verify.check, [row for row in reruns if row.check == "open"]
    if not check or (any(row.check for row in reruns) and not unsaid):
        return ""
    return f" The job's check {check} could not judge {_blocks(unsaid)}." if unsaid else f" The job's check {check} was not run."


def _again(book: Book, reruns: list[Row]) -> str:
    """What is only near is counted apart: how near is the job's own word."""
    if not reruns:
        return ""
    same, near = (sum(row.verdict == verdict for row in reruns) for verdict in ("same", "near"))
    rule = f"its script {book.job.manifest.verify.script}" if book.job.manifest.verify.equal is Equality.SCRIPT else "its tolerance"
    close = f", and {near:,} other bytes that {rule} calls equal" if near else ""
    unfinished = sum(row.verdict == "unfinished" for row in reruns)
    late = f"; {unfinished:,} {'was' if unfinished == 1 else 'were'} not finished in the time given here" if unfinished else ""
    return f", and {same:,} of {len(reruns):,} blocks run again here gave the same bytes{close}{late}"
