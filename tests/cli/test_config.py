"""`ctorrent config`: values with their sources, edits that keep comments, and words for every wrong one."""

from __future__ import annotations

import json
import os
import pathlib

import pytest

from ctorrent.cli import main

FILE = """\
# my machines
slots = 2  # both of them

# where
listen = ["127.0.0.1"]
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name in [name for name in os.environ if name.startswith("CTORRENT_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "data folder"
    monkeypatch.setenv("CTORRENT_DATA", str(folder))
    return folder


def ran(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main.run(["config", *words])
    said = capsys.readouterr()
    return code, said.out, " ".join(said.err.split())


def test_each_value_is_shown_with_its_source(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    (folder / "settings.toml").write_text(FILE)
    monkeypatch.setenv("CTORRENT_PORT", "4300")
    rows = {row["key"]: row for row in json.loads(ran(capsys, "show", "--json")[1])}
    assert (rows["slots"]["value"], rows["slots"]["source"]) == (2, str(folder / "settings.toml"))
    assert (rows["port"]["value"], rows["port"]["source"]) == (4300, "$CTORRENT_PORT")
    assert (rows["mdns"]["value"], rows["mdns"]["source"]) == (True, "default")
    assert rows["data_dir"]["source"] == "$CTORRENT_DATA"
    code, text, _ = ran(capsys, "show")
    assert code == 0 and "Later wins" in text and "settings.toml" in text
    assert ran(capsys, "path")[1].strip() == str(folder / "settings.toml")


def test_set_and_unset_keep_what_a_person_wrote(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    file = folder / "settings.toml"
    file.write_text(FILE)
    assert ran(capsys, "set", "slots", "1")[0] == 0
    assert file.read_text() == FILE.replace("slots = 2", "slots = 1")
    ran(capsys, "set", "disk_bytes", "5 GB")
    ran(capsys, "set", "programs", "ffmpeg", "blender")
    assert file.read_text() == FILE.replace("slots = 2", "slots = 1") + 'disk_bytes = "5 GB"\nprograms = ["ffmpeg", "blender"]\n'
    ran(capsys, "unset", "programs")
    ran(capsys, "unset", "disk_bytes")
    assert file.read_text() == FILE.replace("slots = 2", "slots = 1")
    assert (file.stat().st_mode & 0o777) == 0o600
    assert "nothing to take out" in ran(capsys, "unset", "disk_bytes")[1]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("set", "slotz", "1"), "Did you mean slots?"),
        (("unset", "memory"), "Did you mean memory_bytes?"),
        (("show", "gpu"), "Did you mean gpus?"),
        (("set", "slots", "two"), "slots = 'two' is not a whole number"),
        (("set", "slots", "--", "-1"), "slots = -1 is out of range"),
        (("set", "work_for", "foes"), "one of friends, me, swarm, all"),
        (("set", "memory_bytes", "much"), "not an amount of bytes"),
        (("set", "gpus", "perhaps"), "not true or false"),
        (("set", "data_dir", "/tmp"), "--data-dir"),
        (("set", "programs", "/bin/sh"), "not a program's name"),
    ],
)
def test_what_is_wrong_is_refused_and_changes_nothing(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    folder.mkdir()
    (folder / "settings.toml").write_text(FILE)
    code, _, err = ran(capsys, *words)
    assert code == 2 and told in err, err
    assert (folder / "settings.toml").read_text() == FILE


def test_a_value_may_begin_with_a_dash_and_only_real_settings_are_named(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = ran(capsys, "set", "price", "-1")
    assert code == 2 and "price = -1" in err and "from 0 to" in err, err
    code, _, err = ran(capsys, "set", "slot", "3")
    assert code == 2 and "Did you mean slots?" in err and "testing" not in err, err


def test_a_damaged_file_is_told_by_its_line(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    (folder / "settings.toml").write_text(FILE + "port = = 3\n")
    for words in (("show",), ("set", "slots", "1"), ("unset", "slots")):
        code, _, err = ran(capsys, *words)
        assert code == 2 and "line 6" in err and "settings.toml" in err, err
    assert (folder / "settings.toml").read_text() == FILE + "port = = 3\n"


def test_a_wrong_key_in_the_file_can_be_taken_out(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    (folder / "settings.toml").write_text("slotz = 3\n")
    assert "Did you mean slots?" in ran(capsys, "show")[2]
    assert ran(capsys, "unset", "slotz")[0] == 0
    assert (folder / "settings.toml").read_text() == ""


def test_the_first_set_makes_the_folder_private(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("CTORRENT_SLOTS", "3")
    code, out, _ = ran(capsys, "set", "slots", "2")
    assert code == 0 and "$CTORRENT_SLOTS is set and wins" in out
    assert (folder.stat().st_mode & 0o777) == 0o700
    assert "slots = 2" in (folder / "settings.toml").read_text()
