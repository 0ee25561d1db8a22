"""A job's log in Chromium: what it says when it breaks, and that nothing is read while nobody looks. Jobs beyond a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.real.herd import until

from .crowd import CrowdedNode, serving
from .many_blocks import NAME
from .printing import JOBS, Printing

pytestmark = pytest.mark.real

TURN = """state => {
    Object.defineProperty(document, 'visibilityState', {value: state, configurable: true})
    document.dispatchEvent(new Event('visibilitychange'))
}"""  # a headless browser's page is always seen


@pytest.fixture
def door() -> Printing:
    return Printing()


@pytest.fixture
def node(door: Printing, tmp_path: Path) -> Iterator[CrowdedNode]:
    with serving(door, tmp_path) as node:  # type: ignore[arg-type]
        yield node


def test_a_log_that_breaks_says_so_below_lines_that_it_printed(door: Printing, node: CrowdedNode, browse: Callable[..., Page]) -> None:
    page = browse(node, f"jobs/{NAME}/log")
    expect(page.locator(".log-line")).to_have_count(5)
    door.breaks = True
    expect(page.get_by_role("alert").filter(has_text="the log cannot be read")).to_contain_text("Make room on the disk.")
    expect(page.locator(".log-line")).to_have_count(5)


def test_a_hidden_page_reads_no_log_and_goes_on_where_it_was(door: Printing, node: CrowdedNode, browse: Callable[..., Page]) -> None:
    page = browse(node, f"jobs/{NAME}/log")
    lines = page.locator(".log-line span:last-child")
    expect(lines).to_have_text([f"line {number}" for number in range(5)])
    first = page.locator(".log-line").first.element_handle()
    page.evaluate(TURN, "hidden")
    until(lambda: door.readers == 0, "its stream is closed")
    door.lines += ["a line in two ", "pieces\n", "line 6\n"]
    page.evaluate(TURN, "visible")
    expect(lines).to_have_text([*(f"line {number}" for number in range(5)), "a line in two pieces", "line 6"])
    assert first is not None and first.evaluate("one => one.isConnected"), "what was shown stays as it was"
    page.evaluate(TURN, "hidden")
    until(lambda: door.readers == 0, "its stream is closed")
    door.lines = ["another run\n"]
    page.evaluate(TURN, "visible")
    expect(lines).to_have_text(["another run"])


def test_what_a_node_kept_only_the_end_of_meanwhile_is_shown_from_there(door: Printing, node: CrowdedNode, browse: Callable[..., Page]) -> None:
    door.others = [f"step {number}\n" for number in range(8)]
    page = browse(node, f"jobs/{NAME}/log")
    lines, before = page.locator(".log-line span:last-child"), [f"line {number}" for number in range(5)]
    expect(lines).to_have_text([*before, *(f"step {number}" for number in range(8))])
    page.evaluate(TURN, "hidden")
    until(lambda: door.readers == 0, "its stream is closed")
    door.others = ["step 98\n", "step 99\n", "the end\n"]
    page.evaluate(TURN, "visible")
    expect(lines).to_have_text([*before, "step 98", "step 99", "the end"])


def test_jobs_and_receipts_beyond_the_first_page_are_shown_when_asked_for(node: CrowdedNode, browse: Callable[..., Page]) -> None:
    page = browse(node, "trust/receipts")
    receipts = page.get_by_role("table", name="Receipts")
    expect(receipts).to_have_attribute("aria-rowcount", "500")  # the first of five hundred jobs goes on; a heading is a row
    page.get_by_role("button", name="Show older jobs").click()
    expect(receipts).to_have_attribute("aria-rowcount", str(JOBS + 1))
    expect(page.get_by_role("button", name="Show older jobs")).to_be_hidden()
    page.get_by_role("link", name="Jobs", exact=True).click()
    expect(page.locator("li.job")).to_have_count(50)
    expect(page.locator(".view-head .num")).to_have_text(str(JOBS + 1))
    page.get_by_role("button", name="Show older jobs").click()
    expect(page.locator("li.job")).to_have_count(100)
    expect(page.locator(".view-head .num")).to_have_text(str(JOBS + 1))
