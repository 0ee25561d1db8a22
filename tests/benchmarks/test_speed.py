"""Figures that people were promised, by processor time: beside other tests a clock measures those."""

from __future__ import annotations

import pytest

from tests.benchmarks import http_api, net_map, systems, work
from tests.processor import slower

pytestmark = [pytest.mark.real, pytest.mark.slow]
READ_MS_MAX = 20.0
JOBS, READS = 10_000, 25
CALLS, ROUNDS = 2_000, 6


def test_reads_beside_ten_thousand_jobs_are_short() -> None:
    slow = []
    for path, times, cpu in http_api.measured(JOBS, READS):
        print(f"{times[len(times) // 2]:7.2f} {times[-1]:7.2f} {cpu:7.2f}  {path}")
        if cpu > READ_MS_MAX * slower():
            slow.append((path, cpu))
    assert not slow


def test_a_mapped_call_costs_little_more_than_a_block() -> None:
    load, ratios = systems.Load("empty", work.empty, CALLS), []
    with systems.Ours() as ours:
        ours.run(load.small())
        while len(ratios) < ROUNDS and min(ratios, default=9.0) > net_map.TARGET:
            spent = net_map.in_turns(ours, load, len(ratios))
            ratios.append(spent[0][1] / spent[1][1])
    assert min(ratios) <= net_map.TARGET, ratios
