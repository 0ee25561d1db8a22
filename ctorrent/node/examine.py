"""What `ctorrent doctor` learns of this machine from files and by trying, whether a node runs or not. Makes no identity."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from ctorrent.errors import CTorrentError, KeyFileError, LocalError
from ctorrent.model.ids import node_id, owner_id
from ctorrent.node import plain, records
from ctorrent.node.settings import Settings, load
from ctorrent.store import keyfile, keys
from ctorrent.store.glance import glance

Plain = dict[str, Any]


def settings(data_dir: Path) -> Plain:
    """What the next node would be told: {"settings": {…}, "error", "hint"}. A wrong file is an answer, not an error."""
    try:
        return {"settings": asdict(load({"data_dir": data_dir})), "error": "", "hint": ""}
    except LocalError as error:
        return {"settings": asdict(Settings(data_dir=data_dir)), "error": error.message, "hint": error.hint}


def identity(data_dir: Path, owner_dir: Path | None) -> Plain:
    """Whose machine this is, as far as files say: {"node", "owner", "owner_dir", "swarms", "friends", "keys": […]}."""
    owners = owner_dir or keys.owner_folder()
    node, node_row = _key(data_dir / keys.NODE_KEY_NAME, "node")
    owner, owner_row = _key(owners / keys.OWNER_KEY_NAME, "owner")
    if node and owner_row["missing"]:
        owner_row |= {"error": f"The owner key {owners / keys.OWNER_KEY_NAME} is missing, but a node was started under one.",
                      "hint": "Restore it, or import it from another of your machines: ctorrent owner import FILE"}  # fmt: skip
    found: Plain = {"node": node_id(node) if node else "", "owner": owner_id(owner) if owner else "", "owner_dir": str(owners)}
    swarms = [owner_id(key) for key, _ in glance(data_dir / "journal.sqlite", "swarm")]
    found["swarms"] = sorted({*swarms, *([found["owner"]] if owner else [])})
    found["friends"] = sorted(_friends(data_dir))
    return found | {"keys": [node_row, owner_row]}


def _key(path: Path, kind: str) -> tuple[bytes, Plain]:
    row: Plain = {"name": f"{kind} key", "path": str(path), "missing": False, "error": "", "hint": ""}
    try:
        return keyfile.read(path, kind).public, row
    except FileNotFoundError:
        return b"", row | {"missing": True}
    except KeyFileError as error:
        return b"", row | {"error": error.message, "hint": error.hint}


def _friends(data_dir: Path) -> Iterator[str]:
    for key, value in glance(data_dir / "journal.sqlite", "person"):
        try:
            state = records.load(value)[0]
        except (CTorrentError, ValueError, LookupError, TypeError):
            continue
        if state == "friend":
            yield owner_id(key)


def machine(data_dir: Path, isolation: str, measure: bool) -> Plain:
    """Blocking, a second or two: {"hardware", "environments", "isolation", "gaps"} without any node."""
    with _folder(data_dir) as folder:
        return trio.run(_machine, folder, isolation, measure)


async def _machine(folder: Path, isolation: str, measure: bool) -> Plain:
    from ctorrent.hardware.machine import Machine
    from ctorrent.sandbox.choose import open_sandbox
    from ctorrent.sandbox.limits import SandboxRules

    here = Machine(folder)
    hardware = plain.hardware(await (here.benchmark() if measure else here.probe()))
    try:
        sandbox = await open_sandbox(folder, SandboxRules(), isolation)
    except LocalError as error:
        return {"hardware": hardware, "environments": [], "isolation": f"none: {error.message}", "gaps": []}
    try:
        environments = [plain.environment(info) for info in sandbox.environments()]
        return {"hardware": hardware, "environments": environments, "isolation": sandbox.level.name.lower(), "gaps": list(sandbox.gaps)}
    finally:
        await sandbox.aclose()


@contextmanager
def _folder(data_dir: Path) -> Iterator[Path]:
    """The data folder, or where there is none yet one that goes again: looking must not make it."""
    if data_dir.is_dir():
        yield data_dir
        return
    spare = Path(tempfile.mkdtemp(prefix="ctdoctor-"))
    try:
        yield spare
    finally:
        shutil.rmtree(spare, ignore_errors=True)

