"""Reading a receipt file: what it proves, what it only claims, and every lie that contradicts a signature."""

from __future__ import annotations

import hashlib
import io
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LimitExceeded, LocalError, PeerError
from ctorrent.model.ids import Digest, node_id
from ctorrent.model.job import Assurance, Equality, Verify
from ctorrent.model.portable import BlockLine, Head, Part, SealedKind, SealedPart, Tag, Unit
from ctorrent.model.result import output_digest
from ctorrent.node import receipt_book, receipt_compare
from ctorrent.node.mending import mend
from ctorrent.node.portable import InsideRules, Portable
from ctorrent.node.receipt_book import Book
from ctorrent.node.receipt_compare import second_look
from ctorrent.node.receipt_read import read
from ctorrent.node.receipt_rerun import drawn, runnable
from ctorrent.node.receipt_source import Source
from ctorrent.node.receipt_words import Audits, Finding, audits, findings, support
from ctorrent.ports import Delete, Put
from ctorrent.seal import Signer
from ctorrent.store.salvage import Loss
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import Member, ended, open_swarm
from ctorrent.verify import draw
from ctorrent.verify.audit import AuditRules
from ctorrent.verify.calibrate import Tolerances
from ctorrent.wire.codec_portable import RULES
from tests.wire.portable_sample import (
    BLOCKS,
    MANIFEST,
    SECRET,
    WORKERS,
    Made,
    data_parts,
    honest,
    swapped,
    value,
    written,
)

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"
PAGE = Path(__file__).parents[2] / "docs" / "receipts.md"


def told(data: bytes) -> dict[str, list[Finding]]:
    found: dict[str, list[Finding]] = {}
    for row in findings(read(io.BytesIO(data))):
        found.setdefault(row.what, []).append(row)
    return found


def wrong(data: bytes) -> str:
    return " ".join(f"{row.what}: {row.words}" for rows in told(data).values() for row in rows if row.verdict == "wrong")


def test_an_honest_file_proves_what_was_signed() -> None:
    found = told(honest())
    assert not wrong(honest())
    assert {what for what, rows in found.items() if any(row.verdict == "proven" for row in rows)} >= {
        "file", "job", "program", "blocks", "outputs", "results", "draw", "votes"
    }  # fmt: skip
    assert "two workers or more signed 3" in found["results"][0].words
    assert [row.verdict for row in found["owners"]] == ["claimed"]
    assert runnable(read(io.BytesIO(honest()))) == [0, 1, 2]


def lie(index: int) -> bytes:
    return value(index) if index else value(99)


def without_units(parts: list[Part]) -> list[Part]:
    return [part for part in parts if not isinstance(part, Unit | SealedPart) or (isinstance(part, SealedPart) and part.kind is not SealedKind.ENTRY)]


LIES: dict[str, tuple[Callable[[], bytes], str]] = {
    "an output that nobody signed": (lambda: written(Made(keep=lie).parts()), "1 settled outputs are none that a worker signed"),
    "an output that is not its digest": (lambda: written(swapped(Made().parts(), BlockLine, data=value(7))), "output of block 0 has another digest"),
    "an output that is no value": (
        lambda: written(Made(keep=lambda i: b"\x00\xc1", said=lambda w, i: b"\x00\xc1").parts()),
        "not canonical",
    ),
    "another secret than promised": (
        lambda: written(Made(replace(MANIFEST, draw_hash=Digest(b"d" * 32))).parts()), "not the one that the manifest promised",
    ),
    "another job's votes": (lambda: written(swapped(Made().parts(), Tag, secret=b"x" * 32)), "of another job"),
    "votes on blocks that nobody signed": (
        lambda: written([part for part in Made().parts() if not isinstance(part, Unit)]), "is voted on for 3 blocks and signed 0",
    ),
    "workers that differ where the job wants the same bytes": (
        lambda: written(Made(replace(MANIFEST, verify=Verify(equal=Equality.EXACT)), said=lambda w, i: value(i + w)).parts()),
        "although the job wants them exact",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_a_lie_that_contradicts_a_signature_is_found_without_running_anything(name: str) -> None:
    make, words = LIES[name]
    assert words in wrong(make())


def test_a_result_that_does_not_open_or_is_signed_by_another_is_wrong() -> None:
    parts = Made().parts()
    unit = next(part for part in parts if isinstance(part, Unit))
    other = replace(unit.openings[0], output=output_digest(value(9)))
    assert "does not open" in wrong(written(swapped(parts, Unit, openings=(other, *unit.openings[1:]))))
    seal = replace(unit.result, signature=bytes(64))
    assert "does not verify" in wrong(written(swapped(parts, Unit, result=seal)))
    assert unit.assignment is not None
    forged = WORKERS[0].sign("ctorrent/assignment/1", unit.assignment.body)
    assert "not the requester's" in wrong(written(swapped(parts, Unit, assignment=forged)))
    assert "other blocks" in wrong(written(swapped(parts, Unit, indices=(2, 1, 0))))


FATAL: dict[str, tuple[Callable[[], bytes], str]] = {
    "sealed by another": (lambda: written(Made().parts(), signer=WORKERS[0]), "not by the requester"),
    "another job's head": (lambda: written(swapped(Made().parts(), Head, job=Digest(b"j" * 32))), "not of the job"),
    "one block more than was signed for": (lambda: written(swapped(Made().parts(), Head, blocks=4)), "signed for 3"),
    "other blocks than were signed": (lambda: written(swapped(Made().parts(), BlockLine, block=replace(Made().blocks[0], params=b"\x80"))), "signed the root"),
    "a chain without its close": (lambda: written([part for at, part in enumerate(Made().parts()) if at != 4]), "no close"),
    "a chain out of order": (lambda: written([*Made().parts()[:3], *Made().parts()[4:2:-1], *Made().parts()[5:]]), "does not follow"),
    "another's certificate": (
        lambda: written(swapped(Made().parts(), SealedPart, kind=SealedKind.OWNER)), "in the wrong place",
    ),
    "results twice": (
        lambda: written([p for part in Made().parts() for p in ([part, part] if isinstance(part, Unit) else [part])]), "each once",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FATAL)
def test_what_makes_the_rest_meaningless_ends_the_reading(name: str) -> None:
    make, words = FATAL[name]
    with pytest.raises(PeerError, match=words):
        read(io.BytesIO(make()))


def test_what_nobody_signed_is_only_claimed() -> None:
    """A requester that leaves its workers' results out cannot pass its word off as theirs."""
    found = told(written(without_units(Made(keep=lie).parts())))
    assert [row.verdict for row in found["results"]] == ["claimed"]
    assert "3 settled outputs stand on no worker's signature" in found["results"][0].words
    assert "owners" not in found


def test_other_bytes_within_the_tolerance_are_judged_by_whoever_reads() -> None:
    """Two workers round otherwise: what the second signed is shown, so that nobody need believe that it is equal."""

    def told_of(atol: float) -> list[tuple[str, str]]:
        near = replace(MANIFEST, verify=Verify(equal=Equality.NUMERIC, atol=atol, rtol=0.0))
        file = io.BytesIO(written(Made(near, said=lambda worker, index: value(index) if worker == 0 or index else b"\x00\x0d").parts()))
        book = read(file)
        second_look(book, Source(file, book), Tolerances(book.job.manifest.verify))
        return [(row.verdict, row.words) for row in findings(book) if "other bytes" in row.words]

    assert told_of(1.5) == [("proven", "Of 1 block other listed workers signed other bytes, equal by the job's policy.")]
    ((verdict, words),) = told_of(0.5)
    assert verdict == "open" and "of 1 they are not" in words


def test_an_output_that_is_not_shown_is_not_proven_equal_by_another_that_is() -> None:
    near = replace(MANIFEST, verify=Verify(equal=Equality.NUMERIC, atol=10.0, rtol=0.0))
    made = Made(near, said=lambda worker, index: value(index) if worker == 0 else b"\x00" + bytes((12 + 3 * worker,)), workers=MANY[:3])

    def told_of(hidden: bool) -> tuple[int, str]:
        third = node_id(MANY[2].public)
        parts = [replace(part, outputs=()) if hidden and isinstance(part, Unit) and node_id(part.result.public) == third else part for part in made.parts()]
        file = io.BytesIO(written(parts))
        book = read(file)
        second_look(book, Source(file, book), Tolerances(book.job.manifest.verify))
        return book.equal, next(row.verdict for row in findings(book) if "other bytes" in row.words)

    assert told_of(hidden=False) == (3, "proven")
    assert told_of(hidden=True) == (0, "claimed")


def test_second_looks_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output of some bytes may have a block of 2 MiB read again: what is beyond so many bytes is only claimed."""
    near = replace(MANIFEST, verify=Verify(equal=Equality.NUMERIC, atol=5.0, rtol=0.0))
    file = io.BytesIO(written(Made(near, said=lambda worker, index: value(index) if worker == 0 else b"\x00\x0d").parts()))

    def looked() -> tuple[int, str]:
        book = read(file)
        second_look(book, Source(file, book), Tolerances(book.job.manifest.verify))
        file.seek(0)
        return book.equal, next(row.verdict for row in findings(book) if "other bytes" in row.words)

    assert looked() == (3, "proven")
    monkeypatch.setattr(receipt_compare, "LOOKS_MAX", 0)
    offsets = read(file).blocks.offsets
    file.seek(0)
    monkeypatch.setattr(receipt_compare, "LOOKS_BYTES", offsets[2] - offsets[0])
    assert looked() == (2, "claimed")


def test_an_output_that_is_shown_is_the_one_that_was_committed_to() -> None:
    parts = Made().parts()
    assert "the output shown for block 0" in wrong(written(swapped(parts, Unit, outputs=(value(8), b"", b""))))


def test_a_sample_is_drawn_by_its_seed() -> None:
    assert drawn(range(1000), 5, 3) == drawn(range(1000), 5, 3) != drawn(range(1000), 5, 4)
    assert drawn(range(3), 5, 3) == [0, 1, 2]


# -- draws ------------------------------------------------------------------------------------------------------------


def drawn_of(verify: Verify, ran: Callable[[int], list[int]], workers: int = 3, count: int = 200) -> tuple[Audits, Finding]:
    """What is said of the draws of a job whose workers ran these blocks each."""
    made = Made(replace(MANIFEST, verify=verify), count=count, workers=MANY[:workers], ran=ran)
    book = read(io.BytesIO(written([part for part in made.parts() if not (isinstance(part, SealedPart) and part.kind is SealedKind.ENTRY)])))
    return audits(book), next(row for row in findings(book) if row.what == "draw")


MANY = tuple(Signer(number.to_bytes(32, "big")) for number in range(1, 258))
ECONOMY = Verify(assurance=Assurance.ECONOMY)
CHANCES = [draw.chance(SECRET, "audit", index) for index in range(200)]
STRICT = [index for index, chance in enumerate(CHANCES) if chance < AuditRules().strict_share]
LONE = [index for index, chance in enumerate(CHANCES) if chance < AuditRules().floor]


def test_two_newcomers_that_agree_are_not_taken_for_a_worker_and_its_auditor() -> None:
    """In economy two signers may be either, so the file proves no audit with them; nor does it deny one."""
    assert STRICT and len(LONE) > len(STRICT), "the sample has blocks that are drawn at each share"
    found, row = drawn_of(ECONOMY, lambda worker: list(range(200)), workers=2)
    assert found == Audits(len(LONE), 0, len(LONE)) and row.verdict == "open"
    assert f"{len(LONE)} by two or more, where the file does not tell an auditor from a second newcomer" in row.words


def test_a_lone_answer_that_was_audited_counts_as_drawn_as_one_that_was_not() -> None:
    audited = [index for index in LONE if index not in STRICT][:1]
    found, row = drawn_of(ECONOMY, lambda worker: audited if worker else list(range(200)), workers=2)
    assert found == Audits(len(LONE), 0, 1) and row.verdict == "open"
    assert f"audit of {len(LONE)} blocks: 0 were signed by a further worker, 1 by two or more" in row.words
    assert f"{len(LONE) - 1} by nobody else" in row.words


def test_more_signers_than_any_agreement_needs_are_an_audit() -> None:
    found, _ = drawn_of(ECONOMY, lambda worker: STRICT if worker == 2 else list(range(200)))
    assert found == Audits(len(LONE), len(STRICT), len(LONE) - len(STRICT))
    found, row = drawn_of(Verify(audit_share=0.1), lambda worker: list(range(200)))
    assert found.drawn == found.looked == sum(chance < 0.1 for chance in CHANCES) and row.verdict == "proven"
    alone = Verify(replicas=1, assurance=Assurance.ECONOMY)
    found, row = drawn_of(alone, lambda worker: list(range(200)), workers=2)
    assert found == Audits(len(LONE), len(LONE)) and row.verdict == "proven", "one is enough there, so the second is the auditor"


def test_a_draw_is_what_the_page_says() -> None:
    """docs/receipts.md, The file: whoever has no more than the page redoes the draws."""

    def page(*parts: bytes) -> bytes:
        body = b"ctorrent/draw/chance/1\0" + b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return hashlib.sha256(body).digest()

    assert '"ctorrent/draw/chance/1" of secret, purpose, index (u64), round (u32) and candidate' in PAGE.read_text()
    for index, again in ((0, 0), (17, 0), (17, 2)):
        number = int.from_bytes(page(SECRET, b"audit", index.to_bytes(8, "big"), again.to_bytes(4, "big"), b"")[:8], "big")
        assert draw.chance(SECRET, "audit", index, again) == number / 2**64
    keys = [one.public for one in MANY[:9]]
    least = min(keys, key=lambda key: page(SECRET, b"replica", (3).to_bytes(8, "big"), (1).to_bytes(4, "big"), key)[:8])
    assert draw.pick(SECRET, "replica", 3, 1, map(node_id, keys)) == node_id(least)


# -- hostile files ----------------------------------------------------------------------------------------------------


def test_a_file_that_names_many_workers_costs_no_more_than_it_has() -> None:
    """Keys are free. One signed result by the last of 32,768 costs each block the four bytes of its number."""
    count, named = 1024, 32
    keys = iter(range(1, count * named + 1))

    def crowd(part: Part) -> Part:
        if not isinstance(part, BlockLine):
            return part
        return replace(part, workers=tuple(node_id(next(keys).to_bytes(32, "little")) for _ in range(named)))

    book = read(io.BytesIO(written([crowd(part) for part in Made(count=count, workers=MANY[:1]).parts()])))
    begun = time.monotonic()
    assert support(book).once == count and findings(book)
    assert time.monotonic() - begun < 5, "as many bits for each block as the file has keys take longer than to read it"
    columns = book.blocks.same, book.blocks.other, book.blocks.listed
    assert sum(sys.getsizeof(held) for column in columns for held in column) < count * (3 * 40 + 4 * (named + 1))


def test_more_workers_than_a_reader_remembers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipt_book, "RULES", replace(RULES, keys=2))
    assert not read(io.BytesIO(honest())).wrongs
    with pytest.raises(LimitExceeded, match="more than 2 workers"):
        read(io.BytesIO(written(Made(workers=MANY[:3]).parts())))


def test_a_block_with_more_signed_results_than_any_has_is_refused() -> None:
    assert not read(io.BytesIO(written(Made(workers=MANY[: RULES.workers]).parts()))).wrongs
    with pytest.raises(LimitExceeded, match="signed results of more than 256 workers"):
        read(io.BytesIO(written([replace(part, workers=()) if isinstance(part, BlockLine) else part for part in Made(workers=MANY).parts()])))


def test_data_that_nothing_can_name_is_refused() -> None:
    parts, extra = Made().parts(), [part for number in range(RULES.files + 2 * BLOCKS) for part in data_parts(number.to_bytes(3, "big"))]
    assert not read(io.BytesIO(written([*parts, *extra[:100]]))).wrongs
    with pytest.raises(LimitExceeded, match="more data than"):
        read(io.BytesIO(written([*parts, *extra])))


# -- from a swarm -----------------------------------------------------------------------------------------------------


def test_a_job_of_a_swarm_with_a_liar_in_it() -> None:
    """What the requester's node writes is read back: each settled output signed twice, the liar's answers among the outvoted."""

    async def main(simulation: simulate.Simulation) -> None:
        async with open_swarm(simulation) as swarm:
            ann = await swarm.add("ann")
            for name in ("ben", "cat", "dan"):
                one = await swarm.add(name, behaviour=Behaviour(lie=0.3 if name == "dan" else 0.0))
                await swarm.befriend(ann, one)
            swarm.net.mesh()
            await trio.sleep(1)
            name = await ann.node.door.submit(str(JOB), "python: mix.py:mix\nblocks: {count: 60}\n", {})
            with pytest.raises(LocalError, match="made when it has ended"):
                [item async for item in ann.node.door.receipt(name)]
            assert (await ended(ann, name))["state"] == "settled"
            data = b"".join([item["bytes"] async for item in ann.node.door.receipt(name)])
            book = read(io.BytesIO(data))
            assert not book.wrongs, book.wrongs
            held = support(book)
            assert held.twice + held.once == 60 and not held.none and held.against, held
            assert book.owner == ann.owner and book.votes.tallies
            assert audits(book).drawn >= audits(book).looked and not audits(book).unsure
            small = InsideRules(item_bytes=8, total_bytes=100)
            record = ann.node.requester.find(name)
            tiny = b"".join([piece async for piece in Portable(ann.node.world, ann.node.people, small).file(record, False)])
            whole = b"".join([piece async for piece in Portable(ann.node.world, ann.node.people, small).file(record, True)])
            assert sum(read(io.BytesIO(tiny)).blocks.inside) < 60 == sum(read(io.BytesIO(whole)).blocks.inside)
            assert not [row for row in findings(read(io.BytesIO(tiny))) if row.verdict == "wrong"]
            await lose_some(ann, name, len(book.votes.tallies))

    simulate.run(5, main)


async def lose_some(ann: Member, name: str, tallies: int) -> None:
    """A damaged journal makes no liar of its node: what is left is shown, and what is lost is named."""
    journal, job = ann.journal, ann.node.requester.find(name).id

    async def lose(space: str, count: int = 1) -> None:
        await journal.commit([Delete(space, key) for key, _ in journal.scan(space, job)[:count]])

    async def notes() -> str:
        return " ".join(await mend(journal, Loss("a page does not read", Path("aside"), {"job": 1}, {}, {}, 10, 1)))

    async def receipt() -> Book:
        return read(io.BytesIO(b"".join([item["bytes"] async for item in ann.node.door.receipt(name)])))

    assert "which had ended" not in await notes()
    key, value = journal.scan("settled", job)[1]  # as a job that is cancelled leaves it
    await journal.commit([Put("settled", key, canon.encode(["provisional", *canon.decode(value)[1:]]))])
    held = support(book := await receipt())
    assert held.twice + held.once == 59 and book.answer is not None and "of its results 1 are lost" in book.answer.error
    assert f"Of the job {name}, which had ended, 1 of 60 results is lost." in await notes()
    await lose("dossier", 6)
    book = await receipt()
    assert len(book.votes.tallies) < tallies, "none beyond what was signed"
    assert not [row for row in findings(book) if row.verdict == "wrong"]
    await lose("block")
    assert f"Of the job {name}, which had ended, 60 of 60 blocks are lost" in await notes()
    with pytest.raises(LocalError, match="60 blocks are lost"):
        [item async for item in ann.node.door.receipt(name)]


def test_node_ids_of_the_sample_are_what_they_seem() -> None:
    assert node_id(WORKERS[0].public) != node_id(WORKERS[1].public)
