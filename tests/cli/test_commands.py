"""What each command asks of the node, and what people and programs read."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from typer.testing import CliRunner

from ctorrent import canon
from ctorrent.cli import jobs, main, node, people, show, tables
from ctorrent.errors import LocalError
from ctorrent.model.ids import OwnerId, owner_public
from ctorrent.node.choices import parse_size
from ctorrent.verify.audit import AuditRules
from tests.cli.conftest import Ran
from tests.client.small_door import LIAR, NODE, OTHER, SmallDoor, job_status, report
from tests.processor import children_s

pytestmark = pytest.mark.real
Run = Callable[..., Ran]

READING = (
    "status", "status abc", "jobs", "results abc", "why run", "peers", "invite", "friend ls", "friend add own_eve", "friend rm bob",
    "ledger show", "ledger verify", "reputation", "credit", "env ls", "env add x numpy", "cancel run", "pause run", "resume run",
    "share", "share off", "share on", "retry run",
)  # fmt: skip


@pytest.mark.parametrize("words", READING)
def test_every_command_speaks_to_people_and_to_programs(run: Run, words: str) -> None:
    told = run(*words.split())
    assert told.code == 0, told.err
    assert told.out.strip()
    shown = run(*words.split(), "--json")
    assert shown.code == 0, shown.err
    assert len(shown.out.splitlines()) == 1
    json.loads(shown.out)


def test_the_schema_is_made_for_editors(run: Run) -> None:
    shown = run("job", "schema")
    assert shown.code == 0, shown.err
    assert json.loads(shown.out)["title"] == "A ctorrent job"


@pytest.fixture
def job_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "job.yaml"
    path.write_text("python: search.py:score\n")
    return path


def test_submit_prints_the_answer_and_how_it_came_about(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    door.statuses = [job_status("abcdefgh", "waiting", settled=0, waiting=12), job_status("abcdefgh", "running", settled=6)]
    ran = run("submit", str(job_file), "--replicas", "3", "--name", "mine", "--no-work")
    assert ran.code == 0
    measured = {"block_s": 0.25, "start_s": 0.1, "job_s": 360.0}
    assert door.rehearsed[0][2] == {"replicas": 3, "name": "mine", "work": False}
    assert door.asked[0][3] == {"replicas": 3, "name": "mine", "work": False, "expected": measured}
    assert "Rehearsed: one block took 250 ms here, after 100 ms to start.\n" in ran.err
    assert "4 machines, every block twice: about 1.9 × this machine alone, 6 min;\n" in ran.err
    assert "with verify: {replicas: 1} 3.7 ×, 3 min.\n" in ran.err
    assert "Answer  C 10, accuracy 0.97, gamma 0.001" in ran.out
    assert "12 blocks: 12 settled. Each settled one was agreed on by 2 or more owners." in ran.out
    assert 'block 4: result["accuracy"] is 0.97 and 0.1 → eve out-voted, and it is recorded' in ran.out
    assert re.search(r"ran in +jail: a kernel bug reaches the machine; more: ctorrent report abcdefgh\n", ran.out)
    assert "this machine has 2 cores" in ran.out
    assert "abcdefgh waiting: 0 of 12 blocks" in ran.err, "plain lines where there is no terminal"
    assert "abcdefgh running: 6 of 12 blocks" in ran.err


def test_what_its_person_should_know_is_said_at_the_end_and_after_it(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    note = "The job's check: judge.py:right said no and yes of one output."
    door.end = {**door.end, "notes": [note, *(f"note {n}" for n in range(20))]}
    for ran in (run("submit", str(job_file)), run("status", "abc", "-f")):
        assert f"owners.\n{note}\nnote 0\n" in ran.out and "note 6\nand 13 more such notes" in ran.out and "note 7" not in ran.out
    assert note in run("status", "abc").out
    assert run("report", "abc", "-o", str(job_file.parent / "r.html")).code == 0
    assert "judge.py:right said no and yes" in (job_file.parent / "r.html").read_text()


def test_one_owner_is_said_to_be_no_cross_validation(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    door.end = {**door.end, "cross_validated": False}
    assert "One owner: not cross-validated." in run("submit", str(job_file)).out
    door.end = {**door.end, "replicas_wanted": 1}
    assert "One replica was asked for: not cross-validated." in run("submit", str(job_file)).out


@pytest.mark.parametrize(
    ("alone", "words"),
    [
        (10, "12 settled. 10 settled blocks were run by one owner each, known for its work and audited; 2 by two or more that agreed.\n"),
        (1, "12 settled. 1 settled block was run by one owner, known for its work and audited; 11 by two or more that agreed.\n"),
        (12, "12 settled. 12 settled blocks were run by one owner each, known for its work and audited.\n"),
        (0, "12 settled. Each settled one was agreed on by two or more owners.\n"),
    ],
)
def test_economy_says_how_many_blocks_one_owner_ran(run: Run, door: SmallDoor, job_file: pathlib.Path, alone: int, words: str) -> None:
    door.end = {**door.end, "cross_validated": alone == 0, "alone": alone}
    assert words in run("submit", str(job_file)).out
    assert run("report", "abc", "-o", str(job_file.parent / "r.html")).code == 0
    assert words.split(". ", 1)[1].strip() in (job_file.parent / "r.html").read_text()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"state": "settled"}, 0),
        ({"state": "settled", "settled": 11, "failed": 1}, 3),
        ({"state": "settled", "settled": 11, "disputed": 1}, 3),
        ({"state": "failed", "settled": 0, "reason": "nobody can run it"}, 3),
        ({"state": "paused", "settled": 0, "reason": "most of the first blocks disagree"}, 3),
        ({"state": "cancelled", "settled": 2}, 1),
    ],
)
def test_exit_codes_tell_how_a_job_ended(run: Run, door: SmallDoor, job_file: pathlib.Path, changes: dict[str, object], code: int) -> None:
    door.end = job_status("abcdefgh", report=report(disputes=[], disputes_total=0), **changes)  # type: ignore[arg-type]
    ran = run("submit", str(job_file))
    assert ran.code == code
    assert str(changes.get("reason", "")) in ran.out
    assert run("submit", str(job_file), "--json").code == code
    assert run("status", "abc", "-f").code == code


def test_failed_blocks_are_told_in_their_own_words(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    door.end = {**door.end, "failed": 2, "settled": 10}
    ran = run("submit", str(job_file))
    assert "block 5 failed: bad C" in ran.out
    assert "and 1 more" in ran.out


def test_an_answer_that_is_a_table_is_shown_as_one(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    door.found_answer = {"value": canon.encode([{"n": n, "square": n * n} for n in range(30)])}
    told = run("submit", str(job_file)).out
    assert re.search(r"n +square", told) and re.search(r"9 +81", told)
    assert "and 20 more rows" in told


def test_a_table_has_what_was_given_before_what_came_of_it(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    door.found_answer = {"value": canon.encode([{"C": n, "accuracy": 0.5, "gamma": 0.5, "index": n} for n in range(12)])}
    assert re.search(r"index +C +gamma +accuracy", run("submit", str(job_file)).out)


def test_the_ending_is_short_and_fits_a_terminal(run: Run, door: SmallDoor, job_file: pathlib.Path) -> None:
    gaps = ["A block shares this machine's kernel: a flaw could let it out.", "Memory is capped per process."]
    door.end = job_status("abcdefgh", "settled", report=report(disputes=[], disputes_total=0, gaps=gaps, wall_s=63.5))
    clean = door.timeline

    async def timeline(job: str) -> dict[str, object]:
        return {**await clean(job), "spans": [[0, 0, 1, 60.0, 61.0, 0], [1, 1, 1, 50.0, 51.0, 0]]}

    door.timeline = timeline  # type: ignore[method-assign]
    told = [line.rstrip() for line in run("submit", str(job_file)).out.splitlines()]
    assert len(told) <= 13 and max(map(len, told)) <= 80, told
    assert "  ran in  jail: shares this machine's kernel; more: ctorrent report abcdefgh" in told
    assert "  time    waited 50.0 s, then 13.5 s for 6.0 s of blocks, 12.5 s with replicas" in told
    assert "  speed   1.71 × one core that runs each block once; this machine has 2 cores" in told


STANDING = {"state": "", "held": "", "past": "", "trust": 0.0, "established": 0, "dues": 20.0, "why": []}


def test_why_shows_the_entries_the_path_of_trust_and_the_way_back(run: Run, door: SmallDoor) -> None:
    said = ["dora, trusted 0.500 (you → dora 0.500):", "  entry 7 of XXXXXXXX: 100 agreed, weight 0.500"]
    bob = {"node": NODE, "name": "bob", "agreed": 50.0, "disputed": 9.0, "lower_bound": 0.7, "newcomer": True}
    bob |= STANDING | {"state": "quarantined", "held": "9 of the last 31 blocks checked here were wrong. Back on trial after 500 more entries", "why": said}

    async def reputation(who: str = "") -> list[dict[str, object]]:
        return [bob]

    door.reputation = reputation  # type: ignore[method-assign]
    short, whole = run("reputation", "bob").out, run("reputation", "bob", "--why").out
    assert "Back on trial after 500 more entries" in short and "add --why" in short and said[1] not in short
    assert all(line in whole for line in said)
    refused = run("reputation", "--why")
    assert refused.code == 2 and "ctorrent reputation PEER --why" in refused.err


def test_of_somebody_unknown_no_figure_is_made_up(run: Run, door: SmallDoor) -> None:
    new = {"node": NODE, "name": "", "agreed": 0.0, "disputed": 0.0, "lower_bound": 0.05, "newcomer": True, **STANDING, "dues": 40.0}

    async def reputation(who: str = "") -> list[dict[str, object]]:
        return [new]

    door.reputation = reputation  # type: ignore[method-assign]
    told = " ".join(run("reputation", NODE, "--why").out.split())
    assert "nothing is known" in told and "at least 5%" not in told
    assert "newcomer until 40 of its blocks were checked" in told and "after ten checks in a row" in told
    assert AuditRules().established_after == 10, "the words say ten"


def test_a_receipt_in_the_ledger_is_a_sentence(run: Run, door: SmallDoor) -> None:
    row = {"position": 1, "author": NODE, "incarnation": 0, "seq": 1, "kind": "receipt", "ring": "public", "id": "ab" * 32, "issued_unix": 1_700_000_000,
           "body": {"job": "ab" * 8, "computed_by": OTHER, "for": NODE, "number": 1, "blocks": 5, "core_hours": 0.0004, "gpu_hours": 0.0, "credits": 0.0004}}  # fmt: skip

    async def ledger(after: int = 0, limit: int = 1000) -> list[dict[str, object]]:
        return [] if after else [row]

    door.ledger = ledger  # type: ignore[method-assign]
    told = " ".join(run("ledger", "show").out.split())
    assert re.search(r"bob did 5 +.*blocks for .*0\.0004 credits", told), told


def test_a_reputation_says_who_is_oneself_and_that_it_is_weighed(run: Run, door: SmallDoor) -> None:
    mine = {"node": NODE, "name": "ann", "agreed": 363.3, "disputed": 0.4, "lower_bound": 0.98, "newcomer": False, **STANDING}

    async def reputation(who: str = "") -> list[dict[str, object]]:
        return [mine]

    door.reputation = reputation  # type: ignore[method-assign]
    told = run("reputation").out
    assert re.search(r"ann \(you\) .* 363 +0\.4 +0\.98", told) and "weights, not counts" in told


def test_submit_as_json_is_one_line_with_the_answer(run: Run, job_file: pathlib.Path) -> None:
    ran = run("submit", str(job_file), "--json")
    found = json.loads(ran.out)
    assert found["answer"] == {"C": 10, "gamma": 0.001, "accuracy": 0.97}
    assert found["state"] == "settled"
    assert ran.err == ""


def test_rows_are_written_where_asked(run: Run, job_file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    table, document = tmp_path / "rows.csv", tmp_path / "rows.json"
    assert run("submit", str(job_file), "-o", str(table)).code == 0
    assert len(list(csv.DictReader(io.StringIO(table.read_text())))) == 12
    assert run("submit", str(job_file), "--output", str(document)).code == 0
    assert json.loads(document.read_text())[7]["value"]["accuracy"] == 0.7
    for wrong in (tmp_path / "rows.txt", tmp_path / "none" / "rows.csv"):
        ran = run("submit", str(job_file), "-o", str(wrong))
        assert ran.code == 2, "said before the job runs"
    assert not (tmp_path / "rows.txt").exists()


def test_detach_says_how_to_come_back(run: Run, job_file: pathlib.Path) -> None:
    ran = run("submit", str(job_file), "--detach")
    assert (ran.code, "ctorrent attach abcdefgh" in ran.out) == (0, True)
    assert json.loads(run("submit", str(job_file), "--detach", "--json").out) == {"job": "abcdefgh"}
    assert run("submit", str(job_file), "--detach", "--local", "2").code == 2


def test_a_wrong_job_file_is_one_sentence_and_what_to_do(run: Run, job_file: pathlib.Path) -> None:
    job_file.write_text("nonsense: 1\n")
    ran = run("submit", str(job_file))
    assert ran.code == 2
    assert ran.err.strip().splitlines()[-2:] == [
        "Error: job.yaml:1: nonsense: there is no such field.", "  → Fields: python, command, blocks …",
    ]  # fmt: skip
    assert "Traceback" not in ran.err
    assert "Traceback" in run("submit", str(job_file), "-v").err
    error = json.loads(run("submit", str(job_file), "--json").out)["error"]
    assert error["kind"] == "JobFileError"


def test_an_absent_job_file_is_found_before_any_node_starts(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["submit", str(tmp_path / "none.yaml"), "--data-dir", str(tmp_path / "d")]) == 2
    assert "There is no job file" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


def test_errors_inside_groups_are_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object) -> None:
        raise BaseExceptionGroup("tasks", [BaseExceptionGroup("tasks", [main.LocalError("The port is taken.", "Take another.")])])

    monkeypatch.setattr(jobs, "any_node", broken)
    assert main.run(["jobs"]) == 2
    assert capsys.readouterr().err == "Error: The port is taken.\n  → Take another.\n"


def test_a_bug_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(jobs, "any_node", lambda _: 1 / 0)
    assert main.run(["jobs"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err and "bug of ctorrent" in err and "Traceback" not in err
    assert main.run(["-v", "jobs"]) == 1
    assert "line" in capsys.readouterr().err


def test_usage_errors_exit_2(run: Run) -> None:
    assert run("submit").code == 2
    assert run("nonsense").code == 2
    assert run("results", "abc", "--format", "xml").code == 2
    assert run("status", "zzz").code == 2


def test_nobody_runs_is_exit_1_with_what_to_do(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["peers", "--data-dir", str(tmp_path)]) == 1
    assert "→ Start one: ctorrent node" in capsys.readouterr().err


def test_results_as_csv_and_json(run: Run) -> None:
    rows = list(csv.DictReader(io.StringIO(run("results", "abc", "--format", "csv").out)))
    assert [row["C"] for row in rows] == [str(n) for n in range(12)]
    assert float(rows[7]["accuracy"]) == 0.7
    assert rows[7]["more.n"] == "7"
    assert rows[5]["error"] == "bad C"
    found = json.loads(run("results", "abc", "--format", "json").out)
    assert found[3]["value"] == {"accuracy": 0.3, "more": {"n": 3}, "pad": {"base64": ""}}


def test_a_table_of_results_is_cut_and_says_so(run: Run) -> None:
    told = run("results", "abc", "--limit", "3").out
    assert "… and 9 more: ctorrent results abcdefgh -o FOLDER" in told
    assert len([line for line in told.splitlines() if "ann, bob" in line]) == 3


def test_why_is_a_sentence() -> None:
    found = {"state": "waiting", "saw": 9, "engaged": 0, "reasons": {"lacks packages: numpy": 6, "is busy": 2, "is below the isolation asked": 1}}
    assert jobs.sentence(found) == "9 peers saw it: 6 lack packages: numpy, 2 are busy, 1 is below the isolation asked."
    assert jobs.sentence({"state": "running", "saw": 1, "engaged": 1, "reasons": {}}) == "1 peer saw it: 1 works on it."
    assert jobs.sentence({"state": "settled", "saw": 2, "engaged": 2, "reasons": {}}) == "2 peers saw it: 2 worked on it."


def test_peers_tell_who_asks_for_friendship(run: Run) -> None:
    told = run("peers").out
    assert "To accept: ctorrent friend add own_eve" in told
    assert "8 cores, 17 GB, 3 slots free, docker" in told


def test_peers_fit_into_80_columns_and_visitors_are_left_out(run: Run, door: SmallDoor) -> None:
    async def peers() -> list[dict[str, object]]:
        bob, eve = await SmallDoor.peers(door)
        visitor = {**eve, "node": "12D3KooWvisitor", "name": "", "owner": "", "how": "inbound", "wants_friendship": False}
        return [{**bob, "node": "12D3KooW" + "Y" * 44, "owner": "own_" + "Z" * 44, "latency_s": 0.0512}, visitor]

    door.peers = peers  # type: ignore[method-assign]
    lines = run("peers").out.splitlines()
    assert len(lines) == 4 and max(map(len, lines)) <= 80, lines
    assert "bob" in lines[2] and "friend" in lines[2] and "here 51 ms" in lines[2] and "8 cores, 17 GB, 3 slots free, docker" in lines[2]
    assert "…YYYYYYYYYY" in lines[3] and "mdns" in lines[3] and "version 0.1.0" in lines[3]


def test_an_invite_is_alone_on_stdout(run: Run, door: SmallDoor) -> None:
    ran = run("invite", "--uses", "3", "--valid", "12h")
    assert ran.out == "ctorrent:invite:3:43200\n"
    assert "ctorrent node --join" in ran.err


def test_a_ledger_with_a_fork_is_not_well(run: Run, door: SmallDoor) -> None:
    async def forked() -> dict[str, object]:
        return {"authors": 2, "entries": 9, "bad": [], "forks": [{"author": LIAR, "seq": 4}]}

    assert "every signature and every link holds" in run("ledger", "verify").out
    door.ledger_verify = forked  # type: ignore[method-assign]
    ran = run("ledger", "verify")
    assert ran.code == 1
    assert "forks" in ran.out


def test_the_ledger_is_shown_with_names(run: Run) -> None:
    told = run("ledger", "show").out
    assert "ann" in told and "bob: 3 agreed" in told


def test_what_peers_say_paints_nothing(run: Run, door: SmallDoor) -> None:
    async def peers() -> list[dict[str, object]]:
        row = (await SmallDoor.peers(door))[0]
        return [{**row, "name": "\x1b[31mred\x07[bold]x[/bold]"}]

    door.peers = peers  # type: ignore[method-assign]
    told = run("peers").out
    assert "\x1b" not in told and "\x07" not in told
    assert "[bold]x[/bold]" in told, "markup is shown, not obeyed"


def test_the_start_print_names_what_a_person_needs(capsys: pytest.CaptureFixture[str], door: SmallDoor) -> None:
    import trio

    status = trio.run(door.status)
    node.announce({**status, "join_failed": ["/ip4/1.2.3.4/tcp/1 does not answer"]}, as_json=False)
    told = capsys.readouterr().out
    for part in (NODE, f"/ip4/127.0.0.1/tcp/4270/p2p/{NODE}", "ctorrent invite", "/data", "jail", "kernel bug", "Ctrl-C", "Not joined: /ip4"):
        assert part in told
    node.announce(status, as_json=True)
    assert json.loads(capsys.readouterr().out)["node"] == NODE


def test_lying_is_refused_outside_tests(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: pathlib.Path) -> None:
    monkeypatch.delenv("CTORRENT_TESTING", raising=False)
    assert main.run(["node", "--testing-lie", "0.2", "--data-dir", str(tmp_path / "d")]) == 2
    assert "CTORRENT_TESTING=1" in capsys.readouterr().err
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(("text", "size"), [("4 GB", 4 * 10**9), ("512MiB", 512 << 20), ("1e9", 10**9), ("1.5 gib", 3 << 29), ("2k", 2000)])
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1 GB", "4 XB", "4 iB", "nan", "inf", "1e30", "four"])
def test_wrong_sizes_are_refused(text: str) -> None:
    with pytest.raises(main.LocalError, match="not an amount of bytes"):
        parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("30min", 1800), ("12h", 43200), ("7d", 604800), (" 2 h ", 7200)])
def test_times_are_read(text: str, seconds: int) -> None:
    assert people.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1h", "1.5h", "5 weeks", "99999d", "0s"])
def test_wrong_times_are_refused(text: str) -> None:
    with pytest.raises(main.LocalError, match="not a time"):
        people.parse_duration(text)


def test_durations_and_sizes_for_people() -> None:
    assert [show.duration(s) for s in (0.5, 12.34, 250, 7500, 273_600, None)] == ["0.50 s", "12.3 s", "4 min 10 s", "2 h 5 min", "3 d 4 h", "–"]
    assert [show.duration(s) for s in (3600, 3599.7)] == ["1 h", "1 h"]
    assert [show.size(b) for b in (0, 100, 1536, 3 << 30, 999_600, 200 * 10**9, 3 << 40)] == ["–", "100 B", "1.5 KB", "3.2 GB", "1.0 MB", "200 GB", "3.3 TB"]


def test_json_has_no_nan() -> None:
    import numpy

    found = show.to_json({"a": float("nan"), "b": [float("inf"), b"\0"], "c": numpy.arange(2), "d": 1j})
    assert found == {"a": "NaN", "b": ["Infinity", {"base64": "AA=="}], "c": [0, 1], "d": [0.0, 1.0]}


def test_json_moves_no_cursor_and_keeps_the_letters_of_all_languages() -> None:
    said = {"a\x9b2J": ["naïve Анна 花子 עברית", "\x7f\x85\u202e\u2066\u200b\ue000", "\U000e0001", "\ud800"], "😀": "\x1b[2J\n"}
    for text in (show.as_json(said), tables.cell(said)):
        assert text.isprintable() and json.loads(text) == said
        assert all(word in text for word in ("naïve", "Анна", "花子", "עברית", "😀"))
    assert tables.cell([["\u202egpj.exe"]]) == '[["\\u202egpj.exe"]]'


def test_a_second_change_of_the_owner_key_is_asked_for_twice(tmp_path: pathlib.Path) -> None:
    from ctorrent.store.keys import make_owner, rotations

    first, there = make_owner(tmp_path), ["--owner-dir", os.fspath(tmp_path)]
    once = CliRunner().invoke(main.app, ["owner", "rotate", *there], input="y\n")
    assert once.exit_code == 0 and first in once.output and "already" not in once.output
    again = CliRunner().invoke(main.app, ["owner", "rotate", *there], input="y\n")
    assert isinstance(again.exception, LocalError) and "replaced already" in str(again.exception), "nobody is there to be asked"
    assert main.run(["owner", "rotate", "--json", *there]) == 2
    second = CliRunner().invoke(main.app, ["owner", "show", *there]).output.strip()
    assert CliRunner().invoke(main.app, ["owner", "rotate", "--yes", *there]).exit_code == 0
    third = CliRunner().invoke(main.app, ["owner", "show", *there]).output.strip()
    assert len({first, second, third}) == 3
    assert len(rotations(tmp_path, owner_public(OwnerId(third)))) == 2, "both changes are told"


def test_the_owner_key_travels(tmp_path: pathlib.Path) -> None:
    from ctorrent.store.keys import make_owner

    here, there, file = str(tmp_path / "here"), str(tmp_path / "there"), str(tmp_path / "me.key")
    owner = make_owner(here)
    runner = CliRunner()
    exported = runner.invoke(main.app, ["owner", "export", file, "--owner-dir", here], input="secret\nsecret\n")
    assert exported.exit_code == 0, exported.output
    assert pathlib.Path(file).stat().st_mode & 0o077 == 0
    wrong = runner.invoke(main.app, ["owner", "import", file, "--owner-dir", there], input="guess\n")
    assert wrong.exit_code != 0
    imported = runner.invoke(main.app, ["owner", "import", file, "--owner-dir", there], input="secret\n")
    assert imported.exit_code == 0, imported.output
    shown = runner.invoke(main.app, ["owner", "show", "--owner-dir", there])
    assert shown.output == f"{owner}\n"
    assert main.run(["owner", "export", file, "--owner-dir", here, "--no-passphrase"]) == 2, "nothing is overwritten"


def test_every_command_stands_in_a_panel_of_the_help(run: Run) -> None:
    said = run("--help").out
    assert "─ Commands" not in said and all(f"─ {panel} ─" in said for panel in main.PANELS)
    assert said.index("│ pause") < said.index("│ resume") < said.index("│ cancel") < said.index("│ retry")


def test_help_is_quick_and_loads_no_network() -> None:
    """Beside what the library that draws it costs this machine at this minute, in processor seconds: a busy machine takes twice as many for the same work.

    Compiled, as everybody's but the first start is: without that it is a third more.
    """
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def cost_s(*arguments: str) -> float:
        before = children_s()
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environ)
        return children_s() - before

    took = [(cost_s("-m", "ctorrent", "--help"), cost_s("-c", "import typer.rich_utils")) for _ in range(5)]
    helped, drawn = (min(costs) for costs in zip(*took, strict=True))
    assert helped <= 2.5 * drawn, took
    code = "import sys; from ctorrent.cli import main; main.run(['--help']); assert not {'libp2p', 'trio', 'numpy', 'docker', 'ctorrent.node'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_credit_says_who_owes_whom_and_shows_the_receipts(run: Run, door: SmallDoor) -> None:
    table, one, rows = run("credit").out, run("credit", "bob").out, json.loads(run("credit", "--json").out)
    assert "bob" in table and "+0.5" in table and "0.5 h for them" in table
    assert "they owe you 0.5 credits" in one and "12 blocks, 0.5 core-hours, for 0.5 credits in 1 receipt" in one and "0.3" in one
    assert rows[0]["balance"] == 0.5 and not rows[0]["receipts"]

    async def nobody(who: str = "") -> list[dict[str, object]]:
        return []

    door.credit = nobody  # type: ignore[method-assign, assignment]
    assert "No accounts yet" in run("credit").out
