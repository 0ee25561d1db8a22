"""Which sandbox this node has. The strongest that works, said aloud; never silently a weaker one than asked."""

from __future__ import annotations

import platform
from pathlib import Path

import trio

from ctorrent.errors import LocalError
from ctorrent.model.job import Isolation
from ctorrent.ports import Sandbox
from ctorrent.sandbox.limits import SandboxRules

SYSTEMS = {"Darwin": "macOS"}  # what platform.system() says, as people do
_HINT = "Install Docker Engine, or use Linux 5.13 or later; `ctorrent node --no-work` submits without executing."
_ELSEWHERE = "It submits jobs, follows them and reads results; on Windows, WSL2 is Linux and can also work."


def unsupported() -> str:
    """Why nothing can run on this system, whatever is installed; empty on Linux.

    Docker on macOS and Windows has a Linux of its own, but our way into its containers is a unix socket in a mounted
    folder, which does not reach through. Until another way is tried there, such a machine only asks.
    """
    system = platform.system()
    return "" if system == "Linux" else f"blocks run on Linux only so far, and this is {SYSTEMS.get(system, system)}"


async def open_sandbox(data_dir: Path, rules: SandboxRules, prefer: str = "auto", gpu_class: str = "") -> Sandbox:
    """The sandbox of this node. prefer: "auto", "docker" or "jail". Raises LocalError with what is missing.

    gpu_class: what of this machine's GPUs may change a result; it goes into every environment's fingerprint.
    """
    if prefer not in ("auto", "docker", "jail"):
        raise LocalError(f"{prefer!r} is not a sandbox", "Use auto, docker or jail.")
    if why := unsupported():
        raise LocalError(why, _ELSEWHERE)
    from ctorrent.sandbox import jail

    data_dir = _prepared(data_dir)
    reasons = []
    if prefer in ("auto", "docker"):
        try:
            return await _docker(data_dir, rules, gpu_class)
        except LocalError as error:
            reasons.append(error.message)
    if prefer in ("auto", "jail"):
        why = jail.works()
        if not why:
            return await trio.to_thread.run_sync(jail.JailSandbox, data_dir, rules, gpu_class)
        reasons.append(why)
    raise LocalError(f"blocks cannot run here: {'; '.join(reasons)}", _HINT)


async def available(data_dir: Path, rules: SandboxRules | None = None) -> list[tuple[Isolation, bool, str]]:
    """(level, does it work, why not or what it lacks), strongest first, for `ctorrent doctor`."""
    if why := unsupported():
        return [(level, False, why) for level in (Isolation.DOCKER, Isolation.JAIL)]
    from ctorrent.sandbox import jail

    rules = rules or SandboxRules()
    data_dir = _prepared(data_dir)
    found = []
    try:
        sandbox: Sandbox = await _docker(data_dir, rules)
        found.append((sandbox.level, True, " ".join(sandbox.gaps)))
        await sandbox.aclose()
    except LocalError as error:
        found.append((Isolation.DOCKER, False, str(error)))
    why = jail.works()
    if not why:
        sandbox = await trio.to_thread.run_sync(jail.JailSandbox, data_dir, rules)
        why = " ".join(sandbox.gaps)
        return [*found, (Isolation.JAIL, True, why)]
    return [*found, (Isolation.JAIL, False, why)]


async def _docker(data_dir: Path, rules: SandboxRules, gpu_class: str = "") -> Sandbox:
    """A tried Docker sandbox. Its library is loaded only here: 4 MB that a node in the jail does not need."""
    from ctorrent.sandbox import docker

    return await docker.connect(data_dir, rules, gpu_class)


def _prepared(data_dir: Path) -> Path:
    """The absolute folder, rid of what dead nodes left."""
    from ctorrent.sandbox.room import remove_leftovers

    data_dir = data_dir.absolute()
    remove_leftovers(data_dir)
    return data_dir
