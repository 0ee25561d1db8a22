"""The version is written in three places, which rooms may not read from one another: they agree."""

from __future__ import annotations

import tomllib
from pathlib import Path

import ctorrent
from ctorrent.node import node


def test_there_is_one_version() -> None:
    project = tomllib.loads((Path(__file__).resolve().parent.parent / "pyproject.toml").read_text())["project"]
    assert project["version"] == ctorrent.__version__ == node.VERSION
