"""Two machines that nobody told of one another: found by multicast, connected with one button, confirmed on the other side."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from ctorrent.net.addresses import interfaces
from tests.real.herd import Tended, until

from .conftest import HTTP

pytestmark = pytest.mark.real


@pytest.mark.skipif(not interfaces(), reason="this machine has no network besides loopback")
def test_machines_nearby_are_connected_with_one_button_and_confirmed_on_the_other_side(make: Callable[..., Tended], browse: Callable[..., Page]) -> None:
    near = (*HTTP, "--listen", str(interfaces()[0].ip), "--mdns", "--no-dht", "--slots", "1")
    erin, frank = make("erin", *near), make("frank", *near)
    for one in (erin, frank):
        one.launch()
    for one in (erin, frank):
        one.ready()
    asks, asked = browse(erin, "guide"), browse(frank, "guide")
    found = asks.get_by_role("region", name="Machines nearby")
    found.get_by_role("button", name="Connect with frank").click()
    expect(asks.get_by_role("region", name="Messages")).to_contain_text("frank was asked.")
    assert not any(peer["friend"] and peer["node"] == erin.id for peer in frank.net.peers()), "nobody is a friend unasked"
    expect(asked.get_by_role("link", name="Network (1 asks to be your friend)")).to_be_visible()  # whatever view is open
    expect(found.locator("li", has_text="frank")).to_contain_text("asked: confirm on that machine")
    assert erin.net.pool()["machines"] == 1, "who was asked lends nothing yet"
    request = asked.get_by_role("status").filter(has_text="Asked to be your friend")
    expect(request).to_contain_text("erin")
    request.get_by_role("button", name="Accept erin").click()
    expect(asked.get_by_role("link", name="Network", exact=True)).to_be_visible()
    expect(found.locator("li", has_text="frank").locator(".pill")).to_have_text("friend")
    expect(asked.get_by_role("region", name="Machines nearby").locator("li", has_text="erin").locator(".pill")).to_have_text("friend")
    until(lambda: all(one.net.pool()["machines"] == 2 for one in (erin, frank)), "each may use the other")
