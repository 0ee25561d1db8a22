"""The page on what agreeing means: its functions run, its job files parse, its figures are the code's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ctorrent.plan.jobfile import parse_jobfile
from ctorrent.plan.verify_fields import ALPHA, EQUAL
from ctorrent.verify.calibrate import MARGIN, RTOL_MAX
from ctorrent.verify.calibrating import CalibrationRules
from ctorrent.verify.freivalds import TOLERANCE
from ctorrent.verify.measures import chance_of, least_sample, most_apart

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "verification.md").read_text()
START = "python: a.py:f\nblocks: 3\n"


def functions() -> list[dict[str, Any]]:
    found = []
    for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        names: dict[str, Any] = {}
        exec(text, names)
        found.append(names)
    return found


def test_its_functions_do_what_it_says() -> None:
    same, right, product = functions()
    assert same["same"]({"labels": [0, 0, 1, 2]}, {"labels": [5, 5, 3, 4]}) is True
    assert same["same"]({"labels": [0, 0, 1]}, {"labels": [0, 1, 1]}) == "the clusters differ"
    assert right["right"]({"tour": [2, 0, 1], "length": 3.5}, 3) is True
    assert right["right"]({"tour": [2, 2, 1], "length": 3.5}, 3) == "a city is missing, or there twice"
    a = np.random.default_rng(1).normal(size=(30, 40)).astype("f4")
    assert product["right"](a @ a.T, a, a.T, draw=9) is True
    assert product["right"](a @ a.T + np.float32(0.1), a, a.T, draw=9) is not True


def test_its_job_files_and_fields_are_right() -> None:
    for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        parse_jobfile(text)
    table = re.findall(r"`((?:equal|check): [^`]+)`(?:, `([^`]+)`)?", PAGE.partition("## What each means")[0])
    assert len(table) >= 6
    for fields in table:
        wanted = ", ".join(field for field in fields if field and field != "equal: auto")
        parse_jobfile(f"{START}verify: {{{wanted}}}\n")
    assert all(f"{word}" in PAGE for word in EQUAL)


def test_its_figures_are_the_codes() -> None:
    assert f"fewer than {least_sample(ALPHA)} numbers (at {ALPHA})" in PAGE
    assert f"a limit\nof {TOLERANCE:g} " in PAGE
    rules = CalibrationRules()
    assert (rules.blocks, rules.owners, MARGIN, RTOL_MAX) == (4, 2, 4.0, 1e-3)
    assert "the first four open blocks are run by two owners" in PAGE and "four times over" in PAGE and "at most 1e-3" in PAGE


def test_what_a_sample_of_some_size_can_tell() -> None:
    draw = np.random.default_rng(11)
    for size, shift in ((4000, 0.1), (100, 0.7)):
        told = [chance_of(most_apart(draw.normal(size=size), draw.normal(size=size) + shift), size) < ALPHA for _ in range(60)]
        assert 0.75 < np.mean(told) <= 1.0, "nine times in ten"
    assert "a shift of a tenth of a deviation nine times in ten, 100 numbers\none of seven tenths" in PAGE
