"""What the sandbox room is allowed to spend. One record; node/settings.py fills it."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class SandboxRules:
    """Limits and choices of this node's sandboxes. Seconds are wall clock."""

    boot_s: float = 60.0  # container and preloads: torch takes 1-2 s on a free machine, 20 on a crowded one
    spare: int = 1  # children ready beyond the slots, so that a unit never waits for a fork (1 ms)
    walls: bool = True  # namespaces and a private root around the jail, where the kernel allows them
    runtime: str = ""  # OCI runtime of the daemon: "" is its default, "runsc" is gVisor, "kata" is Kata
    image: str = ""  # "name@sha256:…" instead of the image made from this interpreter
    docker_calls: int = 8  # daemon requests at once; trio's own 40 threads would be starved by a slow daemon
    docker_s: float = 30.0  # one request to the daemon
    processes: int = 256  # of one `command` cell, its children included: a compiler needs tens
    container_pids: int = 512  # the same inside a container, threads counted too
    unit_bytes_inline: int = 128 * 1024  # sent without a task of its own; below the socket's buffer
    check_bytes: int = MIB  # values up to this are fully decoded here; larger ones are walked, and decoded by readers
    scratch_files: int = 4096  # inodes of a `command` block's scratch
    programs: tuple[str, ...] = ()  # of this system, that its owner allows beside the usual text tools
    pip_s: float = 1800.0  # installing torch over a slow line
