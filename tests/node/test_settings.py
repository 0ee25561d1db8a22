"""Settings from their sources, and every wrong value told by its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctorrent.errors import LocalError
from ctorrent.node.settings import Settings, gather, load, names, remember_owner, variable


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("CTORRENT_")]:
        monkeypatch.delenv(name)


def test_flags_win_over_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text('name = "file"\nslots = 3\nprice = 2\nlisten = ["127.0.0.1"]\n')
    monkeypatch.setenv("CTORRENT_NAME", "environment")
    found = load({"data_dir": tmp_path, "slots": 4, "port": None})
    assert (found.name, found.slots, found.price, found.listen, found.port) == ("environment", 4, 2, ("127.0.0.1",), 4270)
    told = {name: one.source for name, one in gather({"data_dir": tmp_path, "slots": 4}).items()}
    file = str(tmp_path / "settings.toml")
    assert [told[name] for name in ("name", "slots", "price", "port")] == ["$CTORRENT_NAME", "flag", file, "default"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("slots", "3", 3),
        ("mdns", "no", False),
        ("gpus", "1", True),
        ("memory_bytes", "4 GB", 4 * 10**9),
        ("disk_bytes", "512MiB", 512 << 20),
        ("price", "2", 2),
        ("price", "1e-2", 0.01),
        ("listen", "127.0.0.1, 10.0.0.1", ("127.0.0.1", "10.0.0.1")),
        ("programs", '["ffmpeg"]', ("ffmpeg",)),
        ("work_for", "all", "all"),
        ("name", "4", "4"),
        ("owner_dir", "/tmp/owner folder", Path("/tmp/owner folder")),
        ("environments_dir", "/tmp/e", Path("/tmp/e")),
    ],
)
def test_every_kind_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: object) -> None:
    monkeypatch.setenv(variable(name), text)
    assert getattr(load({"data_dir": tmp_path}), name) == value


def test_a_data_folder_remembers_whose_node_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ctorrent credit` with no node running starts one for itself: under the owner of the last start, not a new one."""
    remember_owner(load({"data_dir": tmp_path}))
    assert not list(tmp_path.iterdir()), "the usual place needs no remembering"
    remember_owner(load({"data_dir": tmp_path, "owner_dir": tmp_path / "an owner"}))
    assert load({"data_dir": tmp_path}).owner_dir == tmp_path / "an owner"
    assert gather({"data_dir": tmp_path})["owner_dir"].source == str(tmp_path / "owner.folder")
    remember_owner(load({"data_dir": tmp_path}))
    assert load({"data_dir": tmp_path}).owner_dir == tmp_path / "an owner", "and goes on remembering"
    (tmp_path / "settings.toml").write_text(f'owner_dir = "{tmp_path / "by file"}"\n')
    assert load({"data_dir": tmp_path}).owner_dir == tmp_path / "by file"
    assert load({"data_dir": tmp_path, "owner_dir": tmp_path / "by flag"}).owner_dir == tmp_path / "by flag"
    (tmp_path / "settings.toml").unlink()
    (tmp_path / "owner.folder").write_bytes(b"\xff\xfe")
    with pytest.raises(LocalError, match=r"owner\.folder cannot be read"):
        load({"data_dir": tmp_path})


def test_a_name_from_the_environment_moves_no_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTORRENT_NAME", "ann\x1b[31m")
    with pytest.raises(LocalError, match=r"cannot be printed \(in \$CTORRENT_NAME\)") as caught:
        load({"data_dir": tmp_path})
    assert "\x1b" not in str(caught.value)
    monkeypatch.setenv("CTORRENT_NAME", "Анна 花子 ünïque")
    assert load({"data_dir": tmp_path}).name == "Анна 花子 ünïque"


def test_every_field_has_a_variable_that_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Settings()
    for name in set(names()) - {"data_dir", "testing"}:
        if isinstance(getattr(plain, name), (bool, int, float)):
            monkeypatch.setenv(variable(name), "wrong!")
            with pytest.raises(LocalError, match=r"\$" + variable(name)):
                load({"data_dir": tmp_path})
            monkeypatch.delenv(variable(name))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('slots = "three"', "slots = 'three' is not a whole number"),
        ("slots = true", "slots = True is not a whole number"),
        ("slots = -1", "slots = -1 is out of range"),
        ("port = 70000", "port = 70000 is out of range"),
        ("mdns = 1", "mdns = 1 is not true or false"),
        ("name = 5", "name = 5 is not a text"),
        ('join = "one"', "join = 'one' is not a list of texts"),
        ("join = [1]", "join = [1] is not a list of texts"),
        ("price = nan", "price = nan is out of range"),
        ("testing_lie = 2.0", "testing_lie is a fraction"),
        ('install = "some"', "install = 'some' is not one of friends, all, off"),
        ('work_for = "foes"', "work_for = 'foes' is not one of friends, me, swarm, all"),
        ('disk_bytes = "much"', "disk_bytes = 'much' is not an amount of bytes"),
        ('programs = ["../sh"]', "is not a program's name"),
        ("colour = 1", "there is no setting 'colour'"),
        ("slotz = 1", "Did you mean slots?"),
        ("memory = 1", "Did you mean memory_bytes?"),
        ('name = "ann\\u001b[2J"', "name = 'ann\\x1b[2J' holds what cannot be printed"),
        ('listen = ["127.0.0.1\\u202e"]', "holds what cannot be printed"),
        ("= 1", "settings.toml cannot be read"),
        ("slots = 1\nport = = 2", "line 2"),
    ],
)
def test_a_wrong_value_is_told_by_its_name(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "settings.toml").write_text(text + "\n")
    with pytest.raises(LocalError) as caught:
        load({"data_dir": tmp_path})
    assert words in str(caught.value)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LocalError, match="cannot be read"):
        load({"data_dir": tmp_path})
