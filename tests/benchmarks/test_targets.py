"""The verdict's lines, from figures made up for it."""

from __future__ import annotations

from tests.benchmarks.blocks import Figures, Target, verdict


def test_a_target_is_met_on_its_own_side_of_the_bound() -> None:
    assert Target("speed", 0.95, 0.95, least=True).line() == "OK    speed: 0.95 (target ≥ 0.95)"
    assert Target("speed", 0.94, 0.95, least=True).line() == "MISS  speed: 0.94 (target ≥ 0.95)"
    assert Target("memory", 130.5, 130, least=False, unit=" MB").line() == "MISS  memory: 130.5 MB (target ≤ 130 MB)"


def test_ratios_are_of_medians_and_missing_systems_give_no_line() -> None:
    figures = Figures()
    for rate in (1.0, 19.0, 100.0):
        figures.add("ctorrent", "busy", rate)
    for rate in (20.0, 20.0, 5.0):
        figures.add("pool", "busy", rate)
    figures.add("ctorrent, 2 replicas", "busy", 9.5)
    found = {target.name: target for target in verdict(figures, {"help_s": 0.2})}
    assert len(found) == 3
    assert found["200 x 100 ms busy, of ProcessPool's rate"].figure == 0.95
    assert found["cost of 2 replicas, times 1"].figure == 2.0
    assert found["ctorrent --help"].met
