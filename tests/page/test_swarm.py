"""The views of the swarm in Chromium, on the pages of real nodes that joined one another."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.real.herd import Tended, ended, is_connected, until, write_job

from .conftest import HTTP, address, link
from .looks import wrong

pytestmark = pytest.mark.real

PROGRAM = """
    import time

    def work(index, seed, pause):
        time.sleep(pause)
        return index
"""
LEFT_S = 3.0  # a friend that left is not counted any more
SETTLED_MS = 60_000  # of a short job; two cores may be shared with a whole test run
BACK_MS = 60_000  # it dials again within 20 s
FREE_S = 2.0  # after one click, what runs here for others is handed back


@pytest.fixture(scope="module")
def pair(three: tuple[Tended, ...], make: Callable[..., Tended]) -> tuple[Tended, Tended]:
    """The first of the swarm, and a node that knows nobody yet; each serves its page."""
    dora = make("dora", "--slots", "1", *HTTP)
    dora.start()
    return three[0], dora


@pytest.fixture(scope="module")
def everybody(three: tuple[Tended, ...], chromium: Browser) -> Iterator[Page]:
    """One page of the first, that goes from view to view and from screen to screen."""
    profile = chromium.new_context()
    page = profile.new_page()
    page.goto(link(three[0]))
    page.wait_for_url(lambda url: "/open" not in url)
    yield page
    profile.close()


def submitted(node: Tended, folder: Path, pause: float, count: int, replicas: int = 1) -> str:
    more = f"blocks: {{count: {count}}}\nparams: {{pause: {pause}}}\nverify: {{replicas: {replicas}}}\nlimits: {{seconds: 60}}\ncoalesce: off\n"
    path = write_job(folder, PROGRAM, "")
    path.write_text("python: work.py:work\n" + more)
    return str(node.net.submit(path))


def test_share_off_hands_a_friends_blocks_back(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    alice, bob, _ = three
    page = browse(alice, "machine")
    switch = page.get_by_role("switch", name="Lend this machine to others")
    expect(switch).to_be_checked()
    said = page.get_by_role("region", name="Share this machine").get_by_role("status")
    job = submitted(bob, tmp_path / "job", pause=30, count=12)
    took: list[float] = []
    while len(took) < 2 and min(took, default=FREE_S) >= FREE_S:  # twice where the machine stood still
        expect(page.get_by_role("region", name="For whom it works")).to_contain_text(job)
        clicked = time.monotonic()
        switch.click()
        said.filter(has_text="It was free after").wait_for()
        took.append(time.monotonic() - clicked)
        assert sum(one["blocks"] for one in alice.net.machine()["works_for"]) == 0
        expect(page.get_by_role("region", name="For whom it works")).to_contain_text("Nobody: sharing is off.")
        going = bob.net.job(job)["state"]
        switch.click()
        expect(switch).to_be_checked()
        expect(said).to_contain_text("On: others may use what is lent.")
        until(lambda: alice.net.machine()["sharing"], "it is shared again")
    bob.net.cancel(job)
    assert min(took) < FREE_S, took
    assert going == "running", "the others go on"


def test_an_invite_is_made_and_pasted(pair: tuple[Tended, Tended], browse: Callable[..., Page]) -> None:
    alice, dora = pair
    host, guest = browse(alice, "guide"), browse(dora, "")
    expect(guest.get_by_role("heading", name="Begin"), "who knows nobody is shown how to begin").to_be_visible()
    expect(guest.locator("[data-figure=machines]")).to_have_text("1 machine")
    expect(guest.get_by_role("region", name="Machines nearby")).to_contain_text("does not look for machines nearby")  # herd() says --no-mdns
    host.get_by_role("button", name="Make an invite").click()
    line = host.get_by_label("To type on the other machine").input_value()
    expect(host.get_by_role("img", name="The invite as a QR code")).to_be_visible()
    field = guest.get_by_label("An invite that somebody sent you")
    field.fill("<img src=x onerror=alert(1)>")
    guest.get_by_role("button", name="Join").click()
    answer = guest.locator(".join [role=status]")
    expect(answer).to_contain_text("invite")
    assert guest.locator(".join img").count() == 0
    field.fill(f"Hi Dora, type this:\n  {line}\n")
    guest.get_by_role("button", name="Join").click()
    expect(answer).to_have_text("Joined alice.")
    expect(guest.locator("[data-figure=machines]")).not_to_have_text("1 machine")


def opened(page: Page, name: str) -> Locator:
    page.get_by_role("table", name="Peers").get_by_role("button", name=name).click()
    return page.get_by_role("dialog")


def test_a_friendship_ends_is_asked_for_and_is_confirmed_on_the_other_side(pair: tuple[Tended, Tended], browse: Callable[..., Page]) -> None:
    alice, dora = pair
    if not is_connected(alice, dora):  # where this test runs alone
        dora.net.connect(alice.net.invite(1, 3600))
        until(lambda: is_connected(alice, dora), "they know one another")
    page, other = browse(alice, "network"), browse(dora, "guide")
    card = opened(page, "dora")
    expect(card).to_contain_text(dora.id)
    card.get_by_role("button", name="Unfriend dora").click()
    expect(card).to_contain_text("a stranger's")
    dora.net.friend_remove(alice.net.status()["owner"])
    card.get_by_role("button", name="Connect with dora").click()
    request = other.get_by_role("status").filter(has_text="Asked to be your friend")
    expect(request).to_contain_text("alice")
    request.get_by_role("button", name="Accept alice").click()
    expect(request).to_be_hidden()
    expect(card.get_by_role("button", name="Unfriend dora")).to_be_visible()
    assert any(peer["friend"] for peer in dora.net.peers() if peer["node"] == alice.id)


def test_trust_shows_the_votes_the_ledger_and_receipts(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    alice = three[0]
    page = browse(alice, "trust")
    path = write_job(tmp_path / "job", PROGRAM, "")
    path.write_text("python: work.py:work\nblocks: {count: 6}\nparams: {pause: 0.05}\n")
    job = str(alice.net.submit(path))
    assert ended(alice.net, job)["state"] == "settled"
    until(lambda: alice.net.reputation() and alice.net.ledger(0, 10), "votes are written")
    page.get_by_role("link", name="Receipts").click()
    with page.expect_download() as download:
        page.get_by_role("link", name=f"Download the receipt of {job}").click()
    assert download.value.path().stat().st_size > 500
    page.get_by_role("link", name="Ledger").click()
    page.get_by_role("button", name="Verify the ledger").click()
    expect(page.get_by_text("every signature and every link holds.")).to_be_visible()
    page.get_by_role("table", name="Ledger").locator(".row-open").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("Author")
    page.keyboard.press("Escape")
    page.get_by_role("link", name="Reputation").click()
    page.get_by_role("table", name="Reputation").locator(".row-open").first.click()
    expect(page.get_by_role("region", name="Why:")).to_contain_text("Your own, which weigh in full")


@pytest.mark.parametrize("view", ["network", "machine", "trust", "trust/ledger", "trust/credit", "trust/receipts", "guide"])
def test_everybody_can_use_each_view(three: tuple[Tended, ...], everybody: Page, view: str) -> None:
    everybody.goto(f"{everybody.url.split('#')[0]}#/{view}")
    expect(everybody.locator(".view-head h1")).to_be_visible()
    expect(everybody.locator("main section.panel").first).to_be_visible()
    assert wrong(everybody) == []


def seen_leaving(page: Page, one: Tended, left: int) -> float:
    """Kill it. -> seconds until the head counts so many machines."""
    assert one.process is not None
    killed = time.monotonic()
    os.kill(one.process.pid, signal.SIGKILL)
    page.locator("[data-figure=machines]", has_text=f"{left} machines").wait_for()
    return time.monotonic() - killed


def test_a_friend_s_machine_dies_and_the_job_ends_without_it(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    """Without a word: the head changes within three seconds. The last test of these friends."""
    alice, _, carol = three
    page = browse(alice, "network")
    machines, cores = page.locator("[data-figure=machines]"), page.locator("[data-figure=cores]")
    friends = sum(peer["connected"] and peer["friend"] for peer in alice.net.peers())
    expect(machines).to_have_text(f"{friends + 1} machines")
    before = cores.inner_text()
    job = submitted(alice, tmp_path / "dies", pause=0.15, count=60, replicas=2)
    until(lambda: any(one["name"] == "carol" and one["done"] > 0 for one in alice.net.job(job)["workers"]), "carol computes something")
    left = carol.id
    if (took := seen_leaving(page, carol, friends)) >= LEFT_S:  # the machine may have stood still: once more
        carol.kill()
        carol.start()
        expect(machines).to_have_text(f"{friends + 1} machines", timeout=BACK_MS)
        took = seen_leaving(page, carol, friends)
    assert took < LEFT_S, f"after {took:.1f} s"
    assert cores.inner_text() != before
    expect(page.locator(f".peer-map [data-node='{left}'].offline")).to_have_count(1)
    page.goto(f"{address(alice)}/#/jobs/{job}/workers")
    expect(page.locator("tr", has_text="carol").locator(".pill")).to_have_text("lost")
    expect(page.locator(".view-head .pill")).to_have_text("settled", timeout=SETTLED_MS)
    expect(page.get_by_text("60 blocks: 60 settled")).to_be_visible()
