"""Five hundred peers, each with a new latency five times a second: the page goes on drawing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from .crowd import HOSTILE, Crowd, CrowdedNode, quantile, serving

pytestmark = pytest.mark.real

PEERS = 500
BUSY_MAX = 0.6  # of its main thread: the rest is for who types and scrolls
MEASURED_MS = 3000
WINDOWS = 3  # at most: a core that others use as well needs longer for the same work, never less

MEASURE = """ms => new Promise(done => {
  const frames = [], blocked = []
  const long = new PerformanceObserver(list => blocked.push(...list.getEntries().map(e => e.duration)))
  long.observe({entryTypes: ['longtask']})
  const frame = document.querySelectorAll('.listing-frame')[1]
  let last = performance.now(), end = last + ms
  requestAnimationFrame(function step(now) {
    frames.push(now - last); last = now
    frame.scrollTop = (frame.scrollTop + 47) % Math.max(1, frame.scrollHeight - frame.clientHeight)
    if (now < end) requestAnimationFrame(step); else { long.disconnect(); done({frames, blocked}) }
  })
})"""


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CrowdedNode]:
    with serving(Crowd(PEERS), tmp_path_factory.mktemp("crowd")) as node:
        yield node


@pytest.fixture
def network(crowded: CrowdedNode, browse: Callable[..., Page]) -> Page:
    page = browse(crowded, "network")
    expect(page.locator(".peer-map [data-node]")).to_have_count(PEERS)
    return page


def worked_ms(session: CDPSession) -> float:
    """Processor time of the page's main thread so far: what the page does, whoever else uses the machine meanwhile."""
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return 1000 * float(found["TaskDuration"])


def test_five_hundred_peers_move_without_stutter(network: Page, crowded: CrowdedNode) -> None:
    session = network.context.new_cdp_session(network)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    shares: list[float] = []
    while len(shares) < WINDOWS and min(shares, default=1.0) > BUSY_MAX:
        before, began = crowded.door.told, worked_ms(session)
        found: dict[str, Any] = network.evaluate(MEASURE, MEASURED_MS)
        frames, blocked = found["frames"][1:], found["blocked"]
        moved = crowded.door.told > before + 3  # else they stood still while it was measured
        shares.append((worked_ms(session) - began) / MEASURED_MS if moved else 1.0)
        print(f"{len(frames)} frames: {shares[-1]:.0%} of the main thread; by the clock median {quantile(frames, 0.5):.1f}, 95 % {quantile(frames, 0.95):.1f} ms; long tasks {len(blocked)}, longest {max(blocked, default=0):.0f} ms")
    assert min(shares) <= BUSY_MAX


def test_a_table_of_five_hundred_holds_the_rows_in_sight_and_sorts_all(network: Page) -> None:
    offers = network.get_by_role("table", name="Offers")
    expect(offers).to_have_attribute("aria-rowcount", str(PEERS + 1))
    assert offers.locator("tbody tr[data-id]").count() < 60
    first = offers.locator("tbody tr[data-id]").first
    expect(first).to_contain_text("32")
    heading = offers.get_by_role("button", name="Cores")
    heading.click()
    expect(offers.get_by_role("columnheader", name="Cores")).to_have_attribute("aria-sort", "ascending")
    expect(first.locator("td").nth(1)).to_have_text("4")


def test_offers_are_filtered_and_a_filter_is_cleared(network: Page) -> None:
    said = network.get_by_role("region", name="Offers").get_by_role("status")
    expect(said).to_contain_text(f"{PEERS} of {PEERS} machines")
    network.get_by_label("GPU memory, GB").fill("24")
    network.get_by_label("Whose").select_option("friends")
    expect(said).not_to_contain_text(f"{PEERS} of {PEERS}")
    offers = network.get_by_role("table", name="Offers")
    assert set(offers.locator("tbody tr[data-id] td:nth-child(4)").all_inner_texts()) == {"26 GB"}  # 24 GiB, said in thousands as everywhere
    network.get_by_label("Cores, at least").fill("1000")
    expect(network.get_by_text("No machine offers that.")).to_be_visible()
    network.get_by_role("button", name="Clear").click()
    expect(said).to_contain_text(f"{PEERS} of {PEERS} machines")


def test_a_peer_opens_by_keyboard_while_rows_change(network: Page) -> None:
    network.get_by_label("Find a peer").fill("machine-17")
    rows = network.get_by_role("table", name="Peers").locator(".row-open")
    expect(rows.first).to_contain_text("machine-17")
    rows.first.focus()
    network.keyboard.press("ArrowDown")
    deadline = time.monotonic() + 1.0  # five rounds of events, each of which writes the rows anew
    while time.monotonic() < deadline:
        assert network.evaluate("document.activeElement.className") == "row-open"
    network.keyboard.press("Enter")
    card = network.get_by_role("dialog")
    expect(card).to_contain_text("machine-17")
    card.get_by_text("1 address").click()
    expect(card).to_contain_text("/ip4/10.0.")
    network.keyboard.press("Escape")
    expect(card).to_be_hidden()


def test_who_is_found_nearby_is_asked_with_one_button(crowded: CrowdedNode, browse: Callable[..., Page]) -> None:
    page = browse(crowded, "guide")
    near = page.get_by_role("region", name="Machines nearby")
    expect(near).to_contain_text("3 machines found in this network.")
    expect(near.locator("li", has_text="asked-and-off")).to_contain_text("asked: confirm on that machine")  # although it is not reached now
    expect(page.get_by_role("heading", name="Machines nearby")).to_have_text("Machines nearby")  # and not done
    near.get_by_role("button", name="Connect with next-door").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("next-door was asked.")
    assert crowded.door.asked == crowded.door.rows[1]["owner"]


def test_who_asks_under_a_friends_name_is_told_apart(network: Page, crowded: CrowdedNode) -> None:
    asking = network.locator(".asking")
    expect(asking).to_contain_text("machine-0")
    expect(asking).to_contain_text("It has the name of a friend of yours, and is somebody else.")
    expect(asking.locator("code")).to_have_attribute("title", crowded.door.rows[4]["owner"])


def test_a_name_is_text_whatever_it_says(network: Page) -> None:
    network.get_by_label("Find a peer").fill("onerror")
    network.get_by_role("table", name="Peers").locator(".row-open").first.click()
    card = network.get_by_role("dialog")
    expect(card.get_by_role("heading")).to_have_text(HOSTILE.replace("\u202e", "\ufffd"))
    assert network.locator("main img").count() == 0
