"""The systemd unit: what is in it, that systemd reads it, and what is said where there is no systemd."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from ctorrent.cli import main, service
from ctorrent.errors import LocalError

pytestmark = pytest.mark.real


@pytest.fixture
def home(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    for name in [name for name in os.environ if name.startswith(("CTORRENT_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_it_starts_and_drains_the_node_of_its_folder() -> None:
    text = service.unit_text(pathlib.Path('/data/a home/50% $HOME "x"'), 120.0)
    start, stop = (next(line for line in text.splitlines() if line.startswith(word)) for word in ("ExecStart=", "ExecStop="))
    folder = '"--data-dir" "/data/a home/50%% $$HOME \\"x\\""'
    assert start.endswith(f'"-m" "ctorrent" "node" {folder}') and stop.endswith(f'"-m" "ctorrent" "stop" {folder}')
    assert "TimeoutStopSec=160" in text and "Restart=on-failure" in text and "WantedBy=default.target" in text


@pytest.mark.parametrize("folder", ["/data\nExecStartPre=/bin/false", "/data/\x1b[2J", "/data/\x85next", "/data/\udcff"])
def test_a_folder_that_no_unit_can_name_is_refused(folder: str) -> None:
    with pytest.raises(LocalError, match="control character") as caught:
        service.unit_text(pathlib.Path(folder), 120.0)
    assert str(caught.value).isprintable() or "\n" in str(caught.value)
    assert folder not in str(caught.value)


@pytest.mark.parametrize("name", ['a"b', "a'b", "a\\b"])
def test_a_program_that_systemd_would_not_start_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(sys, "executable", f"/opt/{name}/python")
    with pytest.raises(LocalError, match="quote"):
        service.unit_text(pathlib.Path("/data"), 120.0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_finds_a_program_whose_path_has_its_signs(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "run").mkdir(mode=0o700)
    python = home / "a$b ${HOME} 5%" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "executable", str(python))
    unit = home / service.UNIT
    unit.write_text(service.unit_text(home / "data", 120.0))
    command = ["systemd-analyze", "verify", "--user", str(unit)]
    environ = {**os.environ, "XDG_RUNTIME_DIR": str(home / "run")}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert done.returncode == 0 and str(unit) not in done.stderr and "not executable" not in done.stderr, done.stderr
    python.unlink()  # it would have said so
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
    assert "not executable" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_reads_it(home: pathlib.Path) -> None:
    (home / "run").mkdir(mode=0o700)
    unit = home / service.UNIT
    unit.write_text(service.unit_text(home / "data folder", 120.0))
    command = ["systemd-analyze", "verify", "--user", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "XDG_RUNTIME_DIR": str(home / "run")})
    assert done.returncode == 0 and str(unit) not in done.stderr and "Unknown" not in done.stderr, done.stderr
    unit.write_text(unit.read_text().replace("ExecStart=", "ExecStrat="))  # it would have said so
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "XDG_RUNTIME_DIR": str(home / "run")})
    assert done.returncode != 0 or "ExecStrat" in done.stderr


def test_without_systemd_nothing_is_written(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", str(home / "empty"))
    assert main.run(["service", "install", "--yes"]) == 2
    said = capsys.readouterr().err
    assert "no systemd" in said and "nothing was written" in said and "ctorrent node --detach" in said
    assert list(home.iterdir()) == []
    assert main.run(["service", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["installed"], found["systemd"]) == (False, False)
    assert main.run(["service", "remove"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_a_unit_belongs_to_the_folder_it_names(home: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(home / "empty"))
    unit = service.unit_path()
    unit.parent.mkdir(parents=True)
    unit.write_text(service.unit_text(home / "data", 120.0))
    assert service.unit_of(home / "data") == unit
    assert service.unit_of(home / "other") is None
    service.take_away(quiet=True)
    assert not unit.exists()
    unit.write_text("[Unit]\n# somebody's own\n")
    assert service.unit_of(home / "data") is None
