"""What the swarm can do by name: `POST /submit-job {"model": "softmax", …}`, and the same from Python.

    registry    the names, and whether this swarm can run each
    softmax/    a classifier of the rows of a CSV
    bert        not shipped: says what it would need, and what the swarm has
    desk        trainings that a node was asked for: each a process of its own, remembered in the data folder

Programs on the library: they import client, channel, embedded, library and errors of ours, as anybody's could.
"""

from ctorrent.workloads.desk import Desk
from ctorrent.workloads.registry import WORKLOADS, Workload

__all__ = ["WORKLOADS", "Desk", "Workload"]
