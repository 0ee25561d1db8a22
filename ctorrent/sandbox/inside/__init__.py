"""What runs inside a sandbox. Copied there as a package of its own, with `canon.py` and `output_name.py` beside it.

Python 3.9 and later, standard library only, nothing of the rest of ctorrent: the other side may be another Python.

    boot.py        first process: locks itself half down, preloads packages, hands over to the supervisor
    supervisor.py  keeps forked, locked children ready; kills them when the node says so; parses nothing foreign
    child.py       one process, one unit: connects, locks itself down, then receives, runs, replies
    runner.py      calls a Python function      command.py   runs argv      bundle.py   imports from the job's files
    lockdown.py    Landlock, seccomp, rlimits   syscalls.py  the numbers    walls.py    namespaces and a private root
    frames.py      the bytes between node and child                         seeds.py    determinism
    scan.py        which packages will the code import (runs locked down: it parses foreign text)
"""
