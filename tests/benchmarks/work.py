"""The work itself: the same functions for every system. Standard library only: it is also a job's program."""

import time

BUSY_S = 0.1


def busy(index=0):
    """A tenth of a second of processor time, whatever else the machine does."""
    end = time.thread_time() + BUSY_S
    while time.thread_time() < end:
        pass
    return index


def empty(index=0):
    """Nothing: what remains is the system's own cost."""


def turn(data):
    """1 MiB in, another 1 MiB out."""
    return data[1:] + data[:1]


def turn_block(inputs):
    """`turn` as a job calls it: `inputs` is a map of one file's bytes."""
    return turn(next(iter(inputs.values())))
