"""The command line against a small Door on a real socket: run(words) -> Ran."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ctorrent.cli import main
from tests.client.small_door import SmallDoor, serving


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str


@pytest.fixture
def door() -> SmallDoor:
    return SmallDoor()


@pytest.fixture
def data(door: SmallDoor, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pathlib.Path]:
    """The data folder of a node that runs."""
    folder = tmp_path / "data"
    monkeypatch.setenv("CTORRENT_DATA", str(folder))
    monkeypatch.setenv("COLUMNS", "120")
    with serving(door, folder / "control.sock"):
        yield folder


@pytest.fixture
def run(data: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def ran(*words: str) -> Ran:
        code = main.run(list(words))
        out, err = capfd.readouterr()
        return Ran(code, out, err)

    return ran
