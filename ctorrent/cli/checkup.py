"""What `ctorrent doctor` looks at besides the node's own word: folders, keys, disk, Docker, ports."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Plain = dict[str, Any]
DISK_LOW_BYTES = 2 << 30  # an image, an environment and a day's blobs
ANSWER_S = 2.0  # a Docker Engine on this machine answers in milliseconds


@dataclass(frozen=True, slots=True)
class Check:
    """mark: "ok", "note" (works, but know this) or "bad"."""

    mark: str
    what: str
    found: str
    hint: str = ""

    def as_plain(self) -> Plain:
        return asdict(self)


def look(folder: Path, status: Plain, running: bool) -> list[Check]:
    """Every check, in the order a person would ask."""
    return [
        _node(running), _python(), *_isolation(status), docker_engine(), _disk(folder), *_keys(folder), *_ports(status, running),
        *([Check("bad", "testing settings", status["testing"], "Unset CTORRENT_TESTING.")] if status["testing"] else []),
    ]  # fmt: skip


def _node(running: bool) -> Check:
    if running:
        return Check("ok", "node", "runs")
    return Check("note", "node", "none runs here; one was started to answer this", "ctorrent node")


def _python() -> Check:
    return Check("ok", "Python", f"{sys.version.split()[0]} at {sys.executable}")


def _isolation(status: Plain) -> Iterator[Check]:
    level = status["isolation"]
    if level.startswith("none"):
        yield Check("bad", "isolation", level, "This node can run no blocks; it can still submit jobs.")
        return
    yield Check("ok" if level != "jail" else "note", "isolation", level)
    for gap in status["gaps"]:
        yield Check("note", f"{level} does not guarantee", gap)


def docker_engine() -> Check:
    """Does an Engine answer on the socket the docker command would use? Asked as it is spoken: HTTP, /_ping."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        return Check("note", "Docker", f"DOCKER_HOST is {host}: not on this machine", "Blocks need an Engine on this machine.")
    path = host.removeprefix("unix://")
    if not Path(path).exists():
        return Check("note", "Docker", "not installed, or not running", "Friends' jobs run in the jail meanwhile; strangers' need Docker.")
    try:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.settimeout(ANSWER_S)
            engine.connect(path)
            engine.sendall(b"GET /_ping HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n")
            answer = engine.recv(1000)
    except PermissionError:
        return Check("bad", "Docker", f"{path} is closed to this user", "sudo usermod -aG docker $USER, then log in again.")
    except OSError as error:
        return Check("bad", "Docker", f"{path} does not answer: {error}", "sudo systemctl start docker")
    good = b" 200 " in answer.split(b"\r\n")[0]
    return Check("ok", "Docker", "answers") if good else Check("bad", "Docker", "answers, but not as it should", "docker info")


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    found = f"{free / (1 << 30):.1f} GiB free in {folder}"
    return Check("ok", "disk", found) if free > DISK_LOW_BYTES else Check("bad", "disk", found, "Free some, or choose another --data-dir.")


def _keys(folder: Path) -> Iterator[Check]:
    """Key files of the data folder and of the owner: ours, and closed to others."""
    for path in sorted([*folder.glob("*.key"), *_owner_folder().glob("*.key")]):
        found = path.stat()
        if found.st_uid != os.geteuid():
            yield Check("bad", path.name, f"{path} belongs to another user", "Put it back from where it was copied, as yourself.")
        elif found.st_mode & 0o077:
            yield Check("bad", path.name, f"{path} is open to others", f"chmod 600 {path}")
        else:
            yield Check("ok", path.name, f"{path} is yours alone")


def _owner_folder() -> Path:
    if named := os.environ.get("CTORRENT_OWNER_DIR"):
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("ctorrent", appauthor=False))


def _ports(status: Plain, running: bool) -> Iterator[Check]:
    if running:
        for address in status["addresses"]:
            yield Check("ok", "listens", address)
        return
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", 4270))
        except OSError:
            yield Check("note", "port 4270", "taken by another program", "ctorrent node takes the next free one, and says which.")
            return
    yield Check("ok", "port 4270", "free")
