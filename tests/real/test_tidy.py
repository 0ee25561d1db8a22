"""What a node forgets, what it makes way for, and what is left when it is uninstalled."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.real.herd import Tended, ended, joined, rows, until, write_job
from tests.real.terminal import Terminal
from tests.real.test_consent import FLAGS, data, environ
from tests.real.test_stop import cli

pytestmark = pytest.mark.real

NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}  # images and containers of this machine are not this test's
PROGRAM = """
    import time

    def work(index, seed, pause=0):
        time.sleep(pause)
        return index
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "a home").mkdir()
    return tmp_path / "a home"


def asked(one: Tended, *words: str) -> Any:
    done = subprocess.run(cli(*words, "--data-dir", str(one.data), "--json"), capture_output=True, text=True, timeout=90, check=True, env={**one.environ, **NO_DOCKER})
    return json.loads(done.stdout)


def ran(home: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(cli(*words), env={**environ(home), **NO_DOCKER}, check=False, capture_output=True, text=True, timeout=90)
    return done.returncode, done.stdout + done.stderr


def in_journal(data_dir: Path) -> dict[str, int]:
    with sqlite3.connect(f"file:{data_dir / 'journal.sqlite'}?mode=ro", uri=True) as journal:
        found = dict(journal.execute("SELECT space, count(*) FROM records GROUP BY space"))
    journal.close()
    return found


def blob_bytes(data_dir: Path) -> int:
    return sum(path.stat().st_size for path in data_dir.glob("blobs/??/*"))


def test_old_jobs_are_forgotten_with_all_but_the_ledger(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann"), make("ben")
    ann.environ["CTORRENT_KEEP_DAYS"] = "0.00002"  # less than two seconds
    joined(ann, ben)
    folder = write_job(tmp_path / "job", PROGRAM, "").parent
    job = "python: work.py:work\nblocks: {count: 3}\n"
    (folder / "job.yaml").write_text(job)
    first = ann.net.submit(folder / "job.yaml")
    assert ended(ann.net, first)["state"] == "settled"
    (folder / "job.yaml").write_text(job + "params: {pause: 600}\nlimits: {seconds: 900}\n")  # no block ends while commands are typed
    second = ann.net.submit(folder / "job.yaml")  # of the same code
    until(lambda: asked(ann, "gc", "--dry-run")["rows"][0]["names"] == [first], "the first job is old")
    assert {row["job"] for row in ann.net.jobs()} == {first, second}
    looked = asked(ann, "gc")  # nobody said yes
    assert not looked["removed"] and looked["rows"][0]["names"] == [first] and len(ann.net.jobs()) == 2
    with Terminal(["gc", "--data-dir", str(ann.data)], {**ann.environ, **NO_DOCKER, "TERM": "xterm"}) as terminal:
        assert "jobs" in terminal.wait_for("Remove this?")
        terminal.type("no\n")
        assert terminal.wait_end() == 0 and "Nothing was removed." in terminal.said
    assert len(ann.net.jobs()) == 2 and asked(ann, "gc", "--yes")["rows"][0]["count"] == 1
    assert [row["job"] for row in ann.net.jobs()] == [second]
    assert ann.net.job(second)["state"] in ("waiting", "running") and blob_bytes(ann.data) > 0
    ann.net.cancel(second)
    assert ended(ann.net, second)["state"] == "cancelled"
    entries = len(ann.net.ledger())
    until(lambda: asked(ann, "gc", "--yes")["rows"][0]["count"] == 1, "the second job is old")
    assert asked(ann, "gc", "--dry-run")["bytes"] == 0 or asked(ann, "gc", "--yes")
    assert ann.net.jobs() == [] and len(ann.net.ledger()) == entries > 0
    ann.stop()
    left = in_journal(ann.data)
    assert not {"job", "block", "settled", "amendment", "given"} & set(left) and left["entry"] == entries
    assert blob_bytes(ann.data) == 0


def test_others_files_make_way_within_the_quota(make: Callable[..., Tended], tmp_path: Path) -> None:
    """Twelve megabytes of inputs go through a machine that lends nine; what can never fit is refused as such."""
    ann, ben = make("ann", "--no-work"), make("ben", "--slots", "1", "--disk", "9 MB")
    joined(ann, ben)
    folder = write_job(tmp_path / "job", "def work(inputs):\n    return sum(map(len, inputs.values() if isinstance(inputs, dict) else inputs))\n", "").parent
    (folder / "in").mkdir()
    for number in range(4):
        (folder / "in" / f"{number}.bin").write_bytes(bytes([number]) * 3_000_000)
    (folder / "job.yaml").write_text('python: work.py:work\nblocks: {files: "in/*.bin"}\nverify: {replicas: 1}\n')
    name = ann.net.submit(folder / "job.yaml")
    assert ended(ann.net, name, 90)["state"] == "settled", rows(ann.net, name)
    assert [row["value"] for row in rows(ann.net, name)] == [3_000_000] * 4
    until(lambda: blob_bytes(ben.data) <= 9_000_000, "what made way is off the disk")  # files go after the decision
    assert blob_bytes(ann.data) >= 12_000_000  # one's own are one's own
    (folder / "model.bin").write_bytes(os.urandom(20_000_000))
    (folder / "job.yaml").write_text("python: work.py:none\nblocks: {count: 1}\nfiles: [model.bin]\nverify: {replicas: 1}\n")
    (folder / "work.py").write_text("def none():\n    return 1\n")
    big = ann.net.submit(folder / "job.yaml")
    until(lambda: "disk" in str(ann.net.why(big)["reasons"]), "ben says that it has no room")
    assert ann.net.job(big)["state"] == "waiting"


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


@pytest.fixture
def lived(home: Path) -> Path:
    """A home in which a node ran, and its owner set something."""
    code, said = ran(home, "node", *FLAGS, "--detach")
    assert code == 0, said
    assert ran(home, "config", "set", "slots", "1")[0] == 0
    code, said = ran(home, "uninstall", "--yes")
    assert code == 2 and "ctorrent stop" in said, said
    assert ran(home, "stop")[0] == 0
    return home


def test_uninstall_leaves_the_identity_and_what_is_not_ours(lived: Path, tmp_path: Path) -> None:
    folder = data(lived)
    (folder / "notes.txt").write_text("mine")
    own = {"journal.sqlite.bak-mine", "journal.sqlite-notes", "journal.sqlite.v1.copy", "control.panel", "probe-results", ".my.toml.swp"}
    for name in own:
        (folder / name).write_text("mine")
    for name in ("journal.sqlite.v1", "journal.sqlite.new-wal", ".settings.toml.0123456789ab", ".hardware.json.4711", "probe-ab_4567z"):
        (folder / name).write_text("a node's")
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "precious").write_text("mine too")
    (folder / "environments").rmdir() if (folder / "environments").exists() else None
    (folder / "environments").symlink_to(outside)
    (folder / "blobs" / "closed").mkdir(mode=0o500)
    before = everything(lived)
    code, said = ran(lived, "uninstall")
    assert code == 2 and "--yes" in said and "To be removed" in said and everything(lived) == before
    with Terminal(["uninstall"], {**environ(lived), **NO_DOCKER}) as terminal:
        terminal.wait_for("Remove all this?")
        terminal.type("no\n")
        assert terminal.wait_end() == 1 and everything(lived) == before
    code, said = ran(lived, "uninstall", "--yes")
    assert code == 0 and "Not this program's, so still there" in said and "bak-mine" in said, said
    kept = {f".local/share/ctorrent/{name}" for name in own | {"node.key", "notes.txt"}}
    assert everything(lived) == {".config/ctorrent/owner.key", *kept}
    for name in own:
        (folder / name).unlink()
    assert (outside / "precious").read_text() == "mine too"
    (folder / "notes.txt").unlink()
    assert ran(lived, "uninstall", "--yes", "--identity")[0] == 0
    assert everything(lived) == set() and not folder.exists()


def test_a_node_starts_again_as_itself_after_an_uninstall(lived: Path) -> None:
    key = (data(lived) / "node.key").read_bytes()
    assert ran(lived, "uninstall", "--yes")[0] == 0
    code, said = ran(lived, "node", *FLAGS, "--detach")
    assert code == 0 and (data(lived) / "node.key").read_bytes() == key, said
    assert ran(lived, "stop")[0] == 0


@pytest.mark.parametrize("content", [{}, {"journal.sqlite": b"SQLite format 3\0" + b"\0" * 100}, {"node.key": b"my notes"}, {"thesis.tex": b"x"}])
def test_a_folder_that_is_not_ours_is_refused(home: Path, tmp_path: Path, content: dict[str, bytes]) -> None:
    folder = tmp_path / "some folder"
    folder.mkdir()
    for name, words in content.items():
        (folder / name).write_bytes(words)
    code, said = ran(home, "uninstall", "--yes", "--identity", "--data-dir", str(folder))
    assert code == 2 and "no node's data folder" in said, said
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == content
