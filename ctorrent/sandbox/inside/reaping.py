"""Ending processes that a program left behind, however they hid: new sessions, orphans, endless forks.

Works on what /proc shows, which inside walls or a container is only ourselves. A pass kills what it sees; forks that
were faster are seen by the next. The cap on processes makes the passes win.
"""

from __future__ import annotations

import os
import signal
from typing import Dict, Iterable, List, Set

_PASSES_MAX = 500  # a fork bomb of 256 processes needs tens


def end_descendants(root: int) -> None:
    """Kill and reap all that descend from this process, which is `root`."""
    for _ in range(_PASSES_MAX):
        _reap()
        left = _below(root, ())
        if not left:
            return
        _kill(left)


def end_strays(root: int, spared: Iterable[int]) -> None:
    """Kill and reap all that descend from `root`, but for the spared and what descends from them."""
    killed: Set[int] = set()
    for _ in range(_PASSES_MAX):
        left = _below(root, spared)
        if not left:
            break
        killed.update(left)
        _kill(left)
    for pid in killed:  # an orphan is ours by now; the dead count against the cap on processes until reaped
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            continue


def _kill(processes: List[int]) -> None:
    for pid in processes:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    os.sched_yield()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return


def _below(root: int, spared: Iterable[int]) -> List[int]:
    """Living processes whose ancestors lead to `root` without meeting one that is spared."""
    parents = _parents()
    stops = set(spared)
    found = []
    for pid in parents:
        above = pid
        while above and above != root and above not in stops:
            above = parents.get(above, 0)
        if above == root and pid != root:
            found.append(pid)
    return found


def _parents() -> Dict[int, int]:
    """Parent of each process that is not a zombie; nothing where /proc is not there."""
    found: Dict[int, int] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as file:
                    state, parent = file.read().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):
                continue
            if state not in "ZX":
                found[int(name)] = int(parent)
    return found
