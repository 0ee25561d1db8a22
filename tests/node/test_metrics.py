"""Numbers for a monitor: every one has a sentence, and the dashboard draws exactly those that a node gives."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from ctorrent.door import Plain
from ctorrent.model.offer import Hardware
from ctorrent.model.result import Failure, FailureKind, Outcome, Usage
from ctorrent.node.metrics import HELP
from ctorrent.node.sandboxtimes import BOUNDS_S, SandboxTimes
from ctorrent.testing import simulate
from ctorrent.testing.fake_hardware import machine
from ctorrent.testing.fake_swarm import ended, open_swarm

from .test_stories import friends, submit

DASHBOARD = Path(__file__).parents[2] / "images" / "grafana.json"
OF_A_HISTOGRAM = re.compile(r"_(bucket|sum|count)$")


def given(hardware: Hardware | None = None) -> Plain:
    """What a node with a GPU tells after a job."""

    async def main(simulation: simulate.Simulation) -> Plain:
        async with open_swarm(simulation) as swarm:
            ann, *_ = await friends(swarm, "ann", "ben", hardware=hardware or machine(4, 8, gpus=1))
            await ended(ann, await submit(ann, 20))
            found: Plain = await ann.node.door.metrics()
            return found

    return simulate.run(1, main)


def test_a_node_tells_what_it_has_and_did() -> None:
    found = given()
    gauges, counters = found["gauges"], found["counters"]
    assert gauges['ctorrent_jobs{state="settled"}'] == 1 and gauges['ctorrent_peers{state="connected"}'] == 1
    assert gauges["ctorrent_pool_machines"] == 2 and gauges["ctorrent_ledger_entries"] > 0
    assert gauges['ctorrent_gpu_temperature_celsius{gpu="0",name="Fake H200"}'] == 40
    times = found["histograms"]["ctorrent_sandbox_seconds"]
    assert len(times["counts"]) == len(times["bounds"]) + 1 and times["counts"] == sorted(times["counts"])
    assert times["counts"][-1] == counters['ctorrent_sandbox_blocks_total{outcome="value"}'] > 0


def test_a_temperature_that_nobody_knows_is_not_told() -> None:
    cool = machine(4, 8, gpus=1)
    gauges = given(replace(cool, gpus=tuple(replace(one, temperature_c=0.0) for one in cool.gpus)))["gauges"]  # what a driver that does not say counts as
    assert 'ctorrent_gpu_load_ratio{gpu="0",name="Fake H200"}' in gauges
    assert not [key for key in gauges if key.startswith("ctorrent_gpu_temperature_celsius")]


def test_every_number_has_a_sentence_and_the_dashboard_draws_it() -> None:
    found = given()
    names = {key.split("{")[0] for kind in ("gauges", "counters", "histograms") for key in found[kind]}
    told = names | {"ctorrent_cpu_temperature_celsius"}  # of machines that have such a sensor
    assert told == set(HELP)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    words = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    drawn = {OF_A_HISTOGRAM.sub("", name) for name in re.findall(r"ctorrent_\w+", words)}
    assert drawn == told


def test_times_are_counted_up_to_their_bounds() -> None:
    times = SandboxTimes()
    times.add([Outcome(b"x", None, Usage(wall_s=wall)) for wall in (0.0, 0.001, 0.002, 5000.0)])
    times.add([Outcome(None, Failure(FailureKind.EXCEPTION, "ValueError", "seven"), Usage(wall_s=0.2))])
    counts = times.cumulative()
    assert counts[0] == 2 and counts[1] == 3 and counts[-2] == 4 and counts[-1] == 5 and len(counts) == len(BOUNDS_S) + 1
    assert (times.values, times.failures) == (4, 1)
