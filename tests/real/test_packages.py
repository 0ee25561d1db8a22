"""Jobs that need packages and programs, on nodes that lack them: installed when allowed, and else said why not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.real.herd import Tended, ended, herd, joined, rows, until, write_job
from tests.sandbox.wheels import only, wheel

pytestmark = [pytest.mark.real]

PROGRAM = "import sums\n\ndef block(index):\n    return sums.twice(index)\n"
JOB = "python: work.py:block\nblocks: {count: 6}\nneeds: {packages: [sums]}\nverify: {replicas: 2}\n"
SOURCE = "import parts\n\ndef twice(x):\n    return parts.two * x\n"


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A maker of nodes whose pip knows the wheels of one folder, each its own."""
    monkeypatch.delenv("CTORRENT_ENVIRONMENTS", raising=False)
    with herd() as make:

        def machine(name: str, *flags: str) -> Tended:
            made = make(name, *flags)
            made.environ |= only(tmp_path / name)
            (tmp_path / name).mkdir()
            return made

        yield machine


def stock(tmp_path: Path, *names: str) -> None:
    """The same two wheels in the index of each of these."""
    for name in names:
        wheel(tmp_path / name, "sums", "1.5", SOURCE, requires=("parts",))
        wheel(tmp_path / name, "parts", "1.2", "two = 2\n")


def said(machine: Tended, job: str, words: str, limit_s: float = 60.0) -> str:
    """Wait until `why` says this."""

    def look() -> str | None:
        why = machine.net.why(job)
        return next((text for text in (why["waits_for"], *why["reasons"]) if words in text), None)

    return until(look, f"why says {words!r}, not {machine.net.why(job)}", limit_s)


def locked(machine: Tended) -> list[dict[str, Any]]:
    return [row for row in machine.net.environments() if row["name"].startswith("lock-")]


def test_a_friend_installs_what_a_job_needs_once(machines: Any, tmp_path: Path) -> None:
    """And the second job finds it there, even when the index is gone."""
    ann, bob = machines("ann"), machines("bob")
    stock(tmp_path, "ann", "bob")
    joined(ann, bob)
    path = write_job(tmp_path / "job", PROGRAM, JOB)
    job = ann.net.submit(path)
    assert "sums 1.5 and 1 more (" in said(ann, job, "is installing sums 1.5 and 1 more (")
    assert ended(ann.net, job)["state"] == "settled"
    assert [row["agreed"] for row in rows(ann.net, job)] == [2] * 6
    assert [row["packages"] for row in (*locked(ann), *locked(bob))] == [{"parts": "1.2", "sums": "1.5"}] * 2
    for file in [*(tmp_path / "ann").iterdir(), *(tmp_path / "bob").iterdir()]:
        file.unlink()
    again = ann.net.submit(path)
    assert ended(ann.net, again)["state"] == "settled"
    assert not ann.net.job(again)["notes"]
    assert len(locked(bob)) == 1 and bob.net.status()["installing"] == ""
    bob.stop()
    bob.start()
    assert len(locked(bob)) == 1


def test_who_may_not_install_says_so_and_what_is_not_pinned_is_noted(machines: Any, tmp_path: Path) -> None:
    ann, bob = machines("ann", "--no-work"), machines("bob", "--install", "off")
    stock(tmp_path, "ann", "bob")
    joined(ann, bob)
    path = write_job(tmp_path / "job", PROGRAM, JOB.replace("[sums]", '["sums==1.5"]'))
    job = ann.net.submit(path)
    said(ann, job, "1 lacks sums 1.5: install it, or allow `install: friends`")
    ann.net.cancel(job)
    bob.net.environment_add("mine", ["sums"])  # its owner's own environment will do
    job = ann.net.submit(path)
    until(lambda: ann.net.job(job)["replicas_done"] > 0, "bob works")
    ann.net.cancel(job)
    path.write_text(JOB.replace("sums", "nobody-has-this"))
    job = ann.net.submit(path)
    assert ann.net.job(job)["notes"] == [
        "No package index could pin nobody-has-this: only workers that have it already can run this job."
    ]
    said(ann, job, "1 lacks nobody-has-this: install it (the job pins no versions)")


def test_a_program_is_for_friends_when_its_owner_names_it(machines: Any, tmp_path: Path) -> None:
    """Perl is on every system here, and no text tool of ours."""
    ann, bob = machines("ann", "--no-work"), machines("bob")
    joined(ann, bob)
    ann.keep_port()
    yaml = 'command: [perl, -e, "print 6 * 7", "{output}"]\nblocks: {count: 2}\nverify: {replicas: 1}\nneeds: {programs: [perl]}\n'
    path = write_job(tmp_path / "job", "", yaml.replace("print 6 * 7", "open F, '>', $ARGV[0]; print F 6 * 7"))
    job = ann.net.submit(path)
    said(ann, job, "1 has perl, but its owner does not offer it: ctorrent node --allow-program perl")
    ann.net.cancel(job)
    missing = write_job(tmp_path / "other", "", yaml.replace("[perl]", "[sort, no-such-program]"))
    job = ann.net.submit(missing)
    said(ann, job, "1 lacks no-such-program")
    ann.net.cancel(job)
    bob.stop()
    bob.environ["CTORRENT_PROGRAMS"] = "perl, no-such-program"
    bob.start()
    job = ann.net.submit(path)
    assert ended(ann.net, job)["state"] == "settled"
    assert [row["value"] for row in rows(ann.net, job)] == [b"42"] * 2
    own = machines("own")  # one's own machine runs what its owner asks of it
    own.start()
    job = own.net.submit(path)
    assert ended(own.net, job)["state"] == "settled"


def test_what_cannot_be_installed_is_told_with_pips_words(machines: Any, tmp_path: Path) -> None:
    """Bob's index has another file by that name."""
    ann, bob = machines("ann", "--no-work"), machines("bob")
    stock(tmp_path, "ann", "bob")
    wheel(tmp_path / "bob", "sums", "1.5", "def twice(x):\n    return 7\n", requires=("parts",))
    joined(ann, bob)
    path = write_job(tmp_path / "job", PROGRAM, JOB)
    job = ann.net.submit(path)
    words = said(ann, job, "could not install")
    assert "lacks sums: could not install: the index here has other files by these names" in words and os.fspath(tmp_path) not in words
    assert not locked(bob) and bob.net.status()["installing"] == ""
