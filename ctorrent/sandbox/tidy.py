"""What sandboxes leave on a machine: cells and containers whose node is dead, images that nobody starts from any more.

Blocking, and asked of the machine itself, so that it works with no node running. Without Docker there is nothing of Docker's.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctorrent.errors import LocalError
from ctorrent.sandbox.room import LABEL, is_alive

MAKING_S = 60.0  # a cell's folder that is being made has no lock yet
DAY_S = 86400
DOCKER_S = 10  # a daemon that is there answers in milliseconds


@dataclass(frozen=True, slots=True)
class Left:
    """One kind of leftover: what it is, its names, the disk it takes."""

    what: str
    names: tuple[str, ...]
    size_bytes: int


def leftovers(data_dir: Path, dry_run: bool, keep_days: float) -> list[Left]:
    """Remove, or only name, what no living node uses: its cells, containers, and old images of other Pythons.

    keep_days: younger images stay, whoever made them, since other data folders share them; 0: all of them stay.
    """
    found = [_cells(data_dir, dry_run)]
    with _docker() as api:
        if api is not None:
            found += [_containers(api, None, dry_run), _images(api, dry_run, _old(keep_days))]
    return found


def everything(data_dir: Path, dry_run: bool) -> list[Left]:
    """The same for a data folder that goes: its containers, and every image that this program made."""
    with _docker() as api:
        return [] if api is None else [_containers(api, data_dir, dry_run), _images(api, dry_run, None)]


def _cells(data_dir: Path, dry_run: bool) -> Left:
    folders = [folder for folder in sorted((data_dir / "cells").glob("*")) if folder.is_dir() and not folder.is_symlink()]
    dead = [folder for folder in folders if not is_alive(folder) and time.time() - folder.stat().st_mtime > MAKING_S]
    size = sum(folder_bytes(folder) for folder in dead)
    for folder in [] if dry_run else dead:
        shutil.rmtree(folder, ignore_errors=True)
    return Left("leftover cells", tuple(folder.name for folder in dead), size)


def _containers(api: Any, data_dir: Path | None, dry_run: bool) -> Left:
    """Those of dead nodes; of one data folder, if it is given."""
    names = []
    for container in api.containers(all=True, filters={"label": LABEL}):
        room = Path(container["Labels"][LABEL])
        if is_alive(room) or (data_dir is not None and data_dir not in room.parents):
            continue
        names.append(container["Id"][:12])
        if not dry_run:
            _quietly(api.remove_container, container["Id"], force=True, v=True)
    return Left("containers", tuple(names), 0)


def _old(keep_days: float) -> float:
    """Images made before this moment (Unix) may go."""
    return time.time() - keep_days * DAY_S if keep_days else 0.0


def _images(api: Any, dry_run: bool, before: float | None) -> Left:
    """Images that this program built: own ones of other Pythons, made before a moment; with None, every one of all kinds.

    One that a container uses stays.
    """
    from ctorrent.sandbox import image

    used = {container["ImageID"] for container in api.containers(all=True)}
    built = {f"ctorrent-{name}:latest" for name in image.names()} if before is None else set()
    names, size = [], 0
    for found in api.images():
        ours = {tag for tag in found.get("RepoTags") or () if tag.startswith(f"{image.REPOSITORY}:") or tag in built}
        if not ours or found["Id"] in used or (before is not None and _may_be_wanted(found, before)):
            continue
        for tag in sorted(ours):
            names.append(tag)
            size += int(found.get("Size", 0))
            if not dry_run:
                _quietly(api.remove_image, tag)
    return Left("images", tuple(names), size)


def _may_be_wanted(found: dict[str, Any], before: float) -> bool:
    """Is an own image young, or of this Python? Other users and data folders of this machine start from it too."""
    from ctorrent.sandbox import image

    label = (found.get("Labels") or {}).get(image.LABEL)
    return int(found.get("Created", 0)) >= before or label == image.this_python() or image.own() in (found.get("RepoTags") or ())


def _quietly(remove: Any, *args: Any, **options: Any) -> None:
    """What is gone already, or in use since, is somebody else's business."""
    import docker

    with suppress(docker.errors.APIError):
        remove(*args, **options)


@contextmanager
def _docker() -> Iterator[Any]:
    """The daemon's API, or None where there is none."""
    try:
        import docker
        import requests

        from ctorrent.sandbox.docker import knock
    except ImportError:
        yield None
        return
    try:
        knock()
        client = docker.from_env(timeout=DOCKER_S)
        client.api.version()
    except (LocalError, docker.errors.DockerException, requests.RequestException):
        yield None
        return
    try:
        yield client.api
    except (docker.errors.DockerException, requests.RequestException) as error:
        raise LocalError(f"Docker: {str(error)[:300]}", "Is the daemon all right? See: docker info") from None
    finally:
        client.close()


def folder_bytes(folder: Path) -> int:
    """Of all plain files below, links not followed; what vanishes meanwhile counts as nothing."""
    size = 0
    for top, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                about = os.lstat(os.path.join(top, name))  # noqa: PTH118  a hundred thousand of them
                size += about.st_size
    return size
