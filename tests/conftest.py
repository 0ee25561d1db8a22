"""What every test stands on."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# An example's time by the clock says how busy the machine is, and nothing about what it tries.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Nodes that tests start serve HTTP where a test asks for it: there is one port 8420, and many nodes.
os.environ.setdefault("CTORRENT_HTTP", "off")

# A shell that starts something in the background has it ignore Ctrl-C, and so do all its children: those that tests
# interrupt would not hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Rooms whose real tests are the first half: they start whole nodes. So is all that needs Docker: its images and
# containers are one machine's, and some tests count them.
WHOLE_NODES = {"cli", "client", "docs", "examples", "first_hour", "install", "library", "page", "real", "web", "workloads"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--half", choices=["first", "second"], help="one of the halves that python -m tests runs beside each other")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    half = config.getoption("--half")
    if half is None:
        return
    kept = [item for item in items if _is_first(item) == (half == "first")]
    chosen = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = kept


def pytest_collection_finish() -> None:
    """What was imported stays: each simulated run begins with a collection, which takes 0.3 s where it walks all of that."""
    gc.collect()
    gc.freeze()


def _is_first(item: pytest.Item) -> bool:
    if item.get_closest_marker("docker"):
        return True
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    return room in WHOLE_NODES and item.get_closest_marker("real") is not None
