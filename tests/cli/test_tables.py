"""Cells of a CSV file: no part of one is a formula, whatever separates the reader's cells."""

from __future__ import annotations

import time

import pytest

from ctorrent.cli import tables
from tests.cli.formulas import DEFUSED


@pytest.mark.parametrize(("text", "cell"), DEFUSED.items())
def test_no_part_of_a_cell_is_a_formula(text: str, cell: str) -> None:
    assert tables.cell(text) == cell


def test_neither_is_a_part_of_a_list() -> None:
    assert tables.cell(["ok;=cmd", -1]) == "[\"ok;'=cmd\", -1]"


@pytest.mark.parametrize("sign", [";", "\t", " ;", ";\"", "; -1", "+", ";-1"])
def test_long_texts_take_time_in_proportion(sign: str) -> None:
    began = time.process_time()
    tables.cell(sign * 300_000)
    assert time.process_time() - began < 5, "seconds; a search that starts anew at each letter takes hours"
