"""`ctorrent init` and the words for a path that is no job file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from ctorrent.cli import main
from ctorrent.cli.init import SCHEMA, SCHEMA_LINE, TEMPLATES
from ctorrent.plan.blocks import draft_blocks
from ctorrent.plan.jobfile import parse_jobfile
from tests.plan.memory import MemoryFolder

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("CTORRENT_DATA", str(tmp_path / "data"))

    def said(*words: Any) -> tuple[int, str, str]:
        code = main.run([str(word) for word in words])
        return code, *capfd.readouterr()

    return said


def test_without_a_name_it_shows_what_there_is(say: Say) -> None:
    code, out, _ = say("init")
    assert code == 0 and all(template.name in out and template.what in out for template in TEMPLATES)
    assert "ctorrent init digits" in out
    assert {row["name"] for row in json.loads(say("init", "--json")[1])} == {"digits", "command", "sweep"}


@pytest.mark.parametrize("kind", [template.name for template in TEMPLATES])
def test_what_it_writes_is_a_job(kind: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("a folder in use")
    code, out, _ = say("init", kind)
    folder = tmp_path / kind
    assert code == 0 and f"cd {kind}; ctorrent submit --local 2 job.yaml" in out
    text = (folder / "job.yaml").read_text()
    assert text.splitlines()[0] == SCHEMA_LINE + SCHEMA
    schema = json.loads((folder / SCHEMA).read_text())
    Draft202012Validator(schema).validate(YAML(typ="safe", pure=True).load(text))
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in files if "__pycache__" in name or name.lower().startswith("readme")]
    assert len(list(draft_blocks(parse_jobfile(text), MemoryFolder(files)))) > 1


def test_nothing_is_written_over(say: Say, tmp_path: Path) -> None:
    say("init", "sweep", "here")
    job = tmp_path / "here" / "job.yaml"
    assert say("init", "sweep", "here")[0] == 0  # the same bytes take nothing from anybody
    job.write_text("mine\n")
    (tmp_path / "here" / "sim.py").unlink()
    code, _, err = say("init", "sweep", "here")
    assert code == 2 and "here has job.yaml already" in err and "--force" in err
    assert job.read_text() == "mine\n" and not (tmp_path / "here" / "sim.py").exists()
    assert say("init", "sweep", "here", "--force")[0] == 0
    assert job.read_text() != "mine\n" and (tmp_path / "here" / "sim.py").exists()


def test_force_writes_through_no_link(say: Say, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("mine\n")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "job.yaml").symlink_to(mine)
    assert say("init", "sweep", "here")[0] == 2
    assert say("init", "sweep", "here", "--force")[0] == 0
    assert mine.read_text() == "mine\n" and not (tmp_path / "here" / "job.yaml").is_symlink()
    (tmp_path / "other").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "texts").symlink_to(tmp_path / "other")
    code, _, err = say("init", "command", "there", "--force")
    assert code == 2 and "texts is a link to" in err and not list((tmp_path / "other").iterdir())


def test_wrong_words(say: Say, tmp_path: Path) -> None:
    code, _, err = say("init", "my-job")
    assert code == 2 and "There is digits, command, sweep" in err and "ctorrent init digits my-job" in err
    (tmp_path / "file").write_text("")
    assert "file is a file, not a folder" in say("init", "digits", "file")[2]
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "job.yaml").symlink_to(tmp_path / "nowhere")
    assert "has job.yaml already" in say("init", "digits", "dangling")[2]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("where", [(), (".",)])
def test_in_this_folder(say: Say, tmp_path: Path, where: tuple[str, ...]) -> None:
    """An empty one is taken without being named; a home, however empty, is not."""
    out = say("init", "digits", *where)[1]
    assert "This folder has job.yaml" in out
    assert "two nodes of its own:  ctorrent submit --local 2 job.yaml" in out and (tmp_path / "job.yaml").exists()


def test_the_schema_in_a_file(say: Say, tmp_path: Path) -> None:
    printed = say("job", "schema")[1]
    code, out, _ = say("job", "schema", "-o", "job.schema.json")
    assert code == 0 and "# yaml-language-server: $schema=job.schema.json" in out
    assert (tmp_path / "job.schema.json").read_text() == printed
    Draft202012Validator.check_schema(json.loads(printed))
    assert "cannot be written" in say("job", "schema", "-o", "no/folder.json")[2]


def test_what_else_a_path_is(say: Say, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "pi").mkdir()
    (tmp_path / "pi" / "job.yaml").write_text("python: pi.py:f\nblocks: 3\n")
    (tmp_path / "w.py").write_text("def f(): pass\n")
    (tmp_path / "latin.yaml").write_bytes(b"python: a.py:f\nname: caf\xe9\n")
    (tmp_path / "wide.yaml").write_bytes("python: a.py:f".encode("utf-16"))
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(1 << 40)
    for path, words, hint in (
        (".", ". is a folder without a job.yaml.", "ctorrent init"),
        ("pi", "pi is a folder.", "Its job file is pi/job.yaml: ctorrent submit pi/job.yaml"),
        ("empty", "empty is a folder without a job.yaml.", "ctorrent init"),
        ("w.py", "w.py is a program, not a job file.", '{python: "w.py:FUNCTION", blocks: {count: 10}}. ctorrent init'),
        ("pi/jobs.yaml", "There is no job file pi/jobs.yaml.", "There is pi/job.yaml."),
        ("no/where.yaml", "There is no job file no/where.yaml.", "ctorrent init"),
        ("latin.yaml", "latin.yaml:2: is not UTF-8 text.", "Save it as UTF-8"),
        ("wide.yaml", "wide.yaml:1: is UTF-16 text.", "Save it as UTF-8"),
        ("huge.yaml", "huge.yaml has more than 4 MB", "files beside it"),
    ):
        code, _, err = say("submit", path)
        assert code == 2 and words in err and hint in err, err
