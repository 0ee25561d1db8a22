"""Settings from their sources, and every wrong value told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctorrent.errors import LocalError
from ctorrent.node.settings import load


def test_flags_win_over_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text('name = "file"\nslots = 3\nprice = 2\nlisten = ["127.0.0.1"]\n')
    monkeypatch.setenv("CTORRENT_NAME", "environment")
    found = load({"data_dir": tmp_path, "slots": 4, "port": None})
    assert (found.name, found.slots, found.price, found.listen, found.port) == ("environment", 4, 2, ("127.0.0.1",), 4270)


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
        ("colour = 1", "there is no setting 'colour'"),
        ("= 1", "settings.toml cannot be read"),
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
