"""The node's log: five files of a stated size, readable by nobody else, in which nobody else writes lines."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from ctorrent.node.about import about
from ctorrent.node.nodelog import FILES, open_log
from ctorrent.node.settings import Settings

pytestmark = pytest.mark.real


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("ctorrent")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def test_it_rotates_and_is_private(tmp_path: Path) -> None:
    path = open_log(Settings(data_dir=tmp_path, log_bytes=2000), terminal=False)
    for number in range(400):
        logging.getLogger("ctorrent.test").info("line %d", number)
        logging.getLogger("library").info("not ours")
    logs = sorted(path.parent.iterdir())
    assert [log.name for log in logs] == ["node.log", *(f"node.log.{n}" for n in range(1, FILES))]
    assert all(log.stat().st_size <= 2000 and log.stat().st_mode & 0o777 == 0o600 for log in logs)
    assert path.read_text().endswith("line 399\n") and "not ours" not in path.read_text()


def test_what_peers_say_is_no_line_of_ours(tmp_path: Path) -> None:
    path = open_log(Settings(data_dir=tmp_path), terminal=False)
    logging.getLogger("ctorrent.test").warning("peer %s", "eve\x1b[2J\n2026-01-01 INFO ctorrent: all is well")
    first, second = path.read_text().splitlines()
    assert "\x1b" not in first and second.startswith("    2026")


def test_as_json_each_line_is_a_map_with_the_job_that_it_is_about(tmp_path: Path) -> None:
    path = open_log(Settings(data_dir=tmp_path, log_format="json"), terminal=False)
    ours = logging.getLogger("ctorrent.test")
    ours.info("no job")
    with about("k3f9aaaa"):
        ours.warning("peer %s", "eve\x1b[2J\n{}")
        try:
            raise ValueError("seven")
        except ValueError:
            ours.exception("it broke")
    ours.info("job %s: fetched", "abcdefgh", extra={"job": "abcdefgh"})
    first, second, third, fourth = map(json.loads, path.read_text().splitlines())
    assert "job" not in first and first["message"] == "no job" and first["level"] == "INFO" and first["logger"] == "ctorrent.test"
    assert second["job"] == third["job"] == "k3f9aaaa" and second["message"] == "peer eve\x1b[2J\n{}"
    assert third["error"].endswith("ValueError: seven") and fourth["job"] == "abcdefgh"
    assert abs(datetime.fromisoformat(first["time"]).timestamp() - time.time()) < 60
    assert "\x1b" not in path.read_text(), "and a terminal that shows the file is not painted"
