"""The sandbox room (floor 3): where strangers' code runs. Imports floors 0 and 2 (ports) only.

    choose.py        open_sandbox, available: which level, never silently a weaker one
    cell.py          one warm sandbox of one job; sitting.py: one process runs one unit; ending.py: how it died
    jail.py          a process that locked itself down     docker.py   a hardened container
    image.py         the image made from this interpreter   environment.py   packages for blocks
    description.py   what the supervisor is told            room.py          the cell's folder and socket
    gpu.py           whole devices, by uuid                 limits.py        the rules record
    inside/          what runs inside; standard library only

Source of the design: pre-forked, pre-locked children (as OpenSSH separates privileges), Landlock and seccomp.
"""

from __future__ import annotations

from ctorrent.sandbox.choose import available, open_sandbox
from ctorrent.sandbox.environment import Environments
from ctorrent.sandbox.limits import SandboxRules

__all__ = ["Environments", "SandboxRules", "available", "open_sandbox"]
