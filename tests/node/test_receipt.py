"""Reading a receipt file: what it proves, what it only claims, and every lie that contradicts a signature."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.errors import LocalError, PeerError
from ctorrent.model.ids import Digest, node_id
from ctorrent.model.job import Equality, Verify
from ctorrent.model.portable import BlockLine, Head, Part, SealedKind, SealedPart, Tag, Unit
from ctorrent.model.result import output_digest
from ctorrent.node.mending import mend
from ctorrent.node.portable import InsideRules, Portable
from ctorrent.node.receipt_book import Book
from ctorrent.node.receipt_compare import second_look
from ctorrent.node.receipt_read import read
from ctorrent.node.receipt_rerun import drawn, runnable
from ctorrent.node.receipt_source import Source
from ctorrent.node.receipt_words import Finding, audits, findings, support
from ctorrent.ports import Delete, Put
from ctorrent.store.salvage import Loss
from ctorrent.testing import simulate
from ctorrent.testing.fake_sandbox import Behaviour
from ctorrent.testing.fake_swarm import Member, ended, open_swarm
from ctorrent.verify.calibrate import Tolerances
from tests.wire.portable_sample import MANIFEST, WORKERS, Made, honest, swapped, value, written

JOB = Path(__file__).parents[1] / "sim" / "jobs" / "mix.yaml"


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


def test_an_output_that_is_shown_is_the_one_that_was_committed_to() -> None:
    parts = Made().parts()
    assert "the output shown for block 0" in wrong(written(swapped(parts, Unit, outputs=(value(8), b"", b""))))


def test_a_sample_is_drawn_by_its_seed() -> None:
    assert drawn(range(1000), 5, 3) == drawn(range(1000), 5, 3) != drawn(range(1000), 5, 4)
    assert drawn(range(3), 5, 3) == [0, 1, 2]


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
            assert audits(book)[0] >= audits(book)[1]
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
