"""The matrix's own parts: statistics, targets, baselines, what it writes; and a small run of it that must meet its targets."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from ctorrent.model.ids import Digest, NodeId
from ctorrent.verify import words as q

from .matrix import picture, table
from .matrix.__main__ import DOCS, PUBLISHED, load, main, whole_seeds
from .matrix.baselines import Adaptive, Replicated
from .matrix.cells import gather
from .matrix.form import LONG, SHORT, SMOKE
from .matrix.judge import Measured
from .matrix.policies import POLICIES
from .matrix.rows import ROWS
from .matrix.stats import Estimate, median, over_runs, share, wilson
from .matrix.targets import LIMITS, WHY, judged, percent

# statistics --------------------------------------------------------------------------------------------------------------


def test_a_mean_has_students_interval() -> None:
    found = over_runs([1.0, 2.0, 3.0])
    assert found.mean == 2.0
    assert found.high - found.mean == pytest.approx(4.303 / math.sqrt(3), rel=1e-6)
    assert over_runs([5.0]) == Estimate(5.0, 5.0, 5.0)
    with pytest.raises(ValueError):
        over_runs([])


def test_a_share_of_nothing_wrong_is_not_known_to_be_nothing() -> None:
    low, high = wilson(0, 10_000)
    assert low == 0.0 and 3e-4 < high < 4e-4
    found = share([(0, 5_000), (0, 5_000)])
    assert found.mean == found.low == 0.0 and found.high == pytest.approx(high)


def test_a_share_takes_the_wider_of_two_intervals() -> None:
    alike, apart = share([(50, 1000), (50, 1000), (50, 1000)]), share([(0, 1000), (0, 1000), (150, 1000)])
    assert alike.mean == apart.mean == 0.05
    assert apart.high > alike.high  # seeds that differ say that blocks are not independent


def test_never_is_not_averaged() -> None:
    assert median([3.0, math.inf]) == 3.0
    assert median([3.0, math.inf, math.inf]) == math.inf
    assert math.isnan(median([]))


# targets -----------------------------------------------------------------------------------------------------------------


def measured(row: str = "always-wrong", policy: str = "strict", seed: int = 1, **changes: Any) -> Measured:
    plain = Measured(
        row, policy, seed, "long", "settled", 40_000, 40_000, 0, 0, 0, 2.0, 2.0, 10, 160, 0, 0, 40, 40, 40, [10] * 40,
    )  # fmt: skip
    return replace(plain, **changes)


def missed(*runs: Measured) -> list[str]:
    return [line.words for line in judged(gather(runs), "long") if not line.met]


def test_what_meets_every_target_misses_none() -> None:
    assert missed(measured(), measured(policy="economy", overhead=1.1, wrong=40)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"overhead": 2.11}, "overhead"),
        ({"wrong": 9}, "wrong"),
        ({"quarantined": 1}, "quarantined"),
        ({"state": "running", "settled": 39_999}, "settled"),
        ({"extra": {"ring_trust": 0.1}}, "trust"),
        ({"extra": {"slandered": 1}}, "third party"),
    ],
)
def test_each_target_can_be_missed(changes: dict[str, Any], words: str) -> None:
    found = missed(measured(**changes))
    assert len(found) == 1 and words in found[0]


def test_one_bad_seed_is_enough_to_quarantine_an_honest_worker() -> None:
    assert missed(measured(), measured(seed=2, quarantined=1)) == ["always-wrong, strict: honest workers quarantined"]


def test_a_baseline_that_is_as_cheap_and_more_right_is_worse_news() -> None:
    base = measured(policy="boinc", overhead=1.3, wrong=400)
    cheap, dear = measured(policy="economy", overhead=1.1, wrong=120), measured(wrong=4)
    assert missed(base, cheap, dear) == []
    assert missed(replace(base, wrong=80), cheap, dear) == ["always-wrong: no worse than boinc"]  # strict is right, and dearer
    assert missed(replace(base, wrong=80, overhead=2.0), cheap, dear) == []


def test_a_row_that_never_ran_to_its_end_meets_no_figure() -> None:
    found = missed(measured(state="failed", settled=0, overhead=0.0))
    assert len(found) == 3


def test_every_row_has_limits_in_every_form() -> None:
    for form in (LONG, SHORT, SMOKE):
        for policy in ("strict", "economy"):
            for row in form.rows or ROWS:
                limits = LIMITS[form.name][policy]
                assert limits.get(ROWS[row].kind, limits[""])


def test_shares_are_told_in_three_digits() -> None:
    assert [percent(part) for part in (0, 0.123, 0.00217, 0.000025)] == ["0 %", "12.3 %", "0.217 %", "0.0025 %"]


# what it writes ----------------------------------------------------------------------------------------------------------


def test_table_and_picture_show_every_cell() -> None:
    runs = [measured(row, policy) for row in ROWS for policy in ("strict", "economy", "quorum-2", "quorum-3", "boinc")]
    cells = gather(runs)
    page = table.whole(cells, judged(cells, "long"), LONG, 3.0)
    assert all(f"| {row} |" in page for row in ROWS) and "MISS" in page  # an economy at 2.0 is no economy
    told = [line for line in page.splitlines() if line.startswith(("- OK", "- **MISS**"))]
    assert all(("; why: " in line) == ("MISS" in line) for line in told)
    assert {line.words for line in judged(cells, "long")} >= set(WHY), "reasons for targets that there are"
    drawing = ElementTree.fromstring(picture.drawn(cells, "long"))
    titles = [node.text for node in drawing.iter() if node.tag.endswith("title")]
    assert len(titles) == len(runs)


def test_the_readme_keeps_what_stands_around_the_table() -> None:
    text = f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n"
    assert table.between(text, "new") == f"before\n{table.BEGIN}\nnew\n{table.END}\nafter\n"
    with pytest.raises(ValueError):
        table.between("no marks", "new")


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    kept = tmp_path / "runs.jsonl"
    whole, other = measured().line(), measured(seed=2, form="short").line()
    kept.write_text(f"{whole}\n{other}\n{whole[:50]}")
    assert load(kept, LONG) == {("always-wrong", "strict", 1): measured()}


# baselines ---------------------------------------------------------------------------------------------------------------

RIGHT, WRONG = Digest(b"r" * 32), Digest(b"w" * 32)


def says(quorum: Replicated, who: str, digest: Digest, index: int = 0) -> list[q.Effect]:
    return quorum.handle(q.Arrived(NodeId(who), f"owner of {who}", Digest(b"f" * 32), [index], [digest], [b"\0"], False))


def settled(effects: list[q.Effect]) -> list[Digest]:
    return [digest for effect in effects if isinstance(effect, q.Agreed) for digest in effect.digests]


def test_quorum_of_two_takes_a_third_where_two_differ() -> None:
    quorum = Replicated(2)
    assert says(quorum, "a", RIGHT) == []
    assert says(quorum, "b", WRONG) == [q.NeedReplicas(0, 1, False, ("owner of a", "owner of b"))]
    assert settled(says(quorum, "c", WRONG)) == [WRONG]
    assert says(quorum, "d", RIGHT) == []


def test_quorum_of_three_settles_with_two_of_three() -> None:
    quorum = Replicated(3)
    assert says(quorum, "a", RIGHT) == says(quorum, "b", WRONG) == []
    assert settled(says(quorum, "c", RIGHT)) == [RIGHT]


def test_one_owner_has_one_voice() -> None:
    quorum = Replicated(2)
    says(quorum, "a", RIGHT)
    assert says(quorum, "a", RIGHT) == []


def test_adaptive_trusts_after_ten_and_forgets_at_once() -> None:
    boinc = Adaptive()
    for index in range(10):
        says(boinc, "a", RIGHT, index)
        says(boinc, "b", RIGHT, index)
    alone = sum(bool(settled(says(boinc, "a", RIGHT, index))) for index in range(100, 200))
    assert 80 <= alone <= 99  # replicated with a chance of one in ten
    for index in range(200, 240):
        if not settled(says(boinc, "a", WRONG, index)):
            break
    says(boinc, "b", RIGHT, index)
    says(boinc, "c", RIGHT, index)
    assert not any(settled(says(boinc, "a", RIGHT, index)) for index in range(300, 320))


# a small matrix ----------------------------------------------------------------------------------------------------------


def test_what_is_published_is_what_its_runs_give() -> None:
    runs = whole_seeds(load(PUBLISHED, LONG), len(ROWS) * len(POLICIES))
    cells, hours = gather(runs.values()), sum(run.took_s for run in runs.values()) / 3600
    page, readme = (DOCS / "attack_matrix.md").read_text(), (DOCS.parent / "README.md").read_text()
    assert page == table.whole(cells, judged(cells, "long"), LONG, hours)
    assert readme == table.between(readme, table.short(cells))


@pytest.mark.slow
def test_a_small_matrix_meets_its_targets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--form", "smoke", "--out", str(tmp_path), "--jobs", "2"])
    said = capsys.readouterr().out
    assert code == 0, said
    runs = [json.loads(line) for line in (tmp_path / "matrix-smoke.jsonl").read_text().splitlines()]
    assert len(runs) == len(SMOKE.rows) * len(SMOKE.policies)
