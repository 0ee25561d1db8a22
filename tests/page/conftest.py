"""Chromium, and nodes whose page it opens."""

from __future__ import annotations

import json
import shutil
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ctorrent.door import HTTP_ADDRESS, HTTP_TOKEN
from tests.real.herd import Tended, herd, joined

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HTTP = ("--http", "127.0.0.1:0")  # any free port: each node serves a page of its own
LIMIT_MS = 20_000  # of any wait for the page: two cores may be shared with a whole test run

expect.set_options(timeout=LIMIT_MS)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for all tests of the page; its driver's loop ends with them."""
    if CHROMIUM is None:
        pytest.fail("The page is tested in Chromium, and none is on the PATH: install chromium (Debian: apt install chromium).")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def three() -> Iterator[tuple[Tended, Tended, Tended]]:
    """Alice, whose page is looked at, and two friends of hers; each lends two slots. The last test of them ends carol."""
    lends = ("--slots", "2")
    with herd() as maker:
        friends = maker("alice", *HTTP, *lends), maker("bob", *lends), maker("carol", *lends)
        joined(*friends)
        yield friends


@pytest.fixture(scope="module")
def make() -> Iterator[Callable[..., Tended]]:
    """Starts nodes of a module's own; those made with *HTTP serve their page."""
    with herd() as maker:
        yield maker


@pytest.fixture
def browse(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """browse(node, "network") opens a view of a node's page in a browser profile of its own, let in by a one-time link; "" the
    one that the page chooses.

    More words are of the profile, as Browser.new_context takes them. What the page's scripts throw, and what its policy
    of contents refuses, fails the test.
    """
    profiles: list[BrowserContext] = []
    wrong: list[str] = []

    def browse(node: Tended, view: str = "jobs", **profile: Any) -> Page:
        profiles.append(chromium.new_context(**profile))
        page = profiles[-1].new_page()
        page.set_default_timeout(LIMIT_MS)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None)
        page.goto(link(node))
        page.wait_for_url(lambda url: "/open" not in url)
        if view:
            page.goto(f"{address(node)}/#/{view}")
        return page

    yield browse
    for profile in profiles:
        profile.close()
    assert not wrong, wrong


def address(node: Tended) -> str:
    return (node.data / HTTP_ADDRESS).read_text().strip()


def link(node: Tended) -> str:
    """A link that opens the node's page once, as `ctorrent open` makes it."""
    token = (node.data / HTTP_TOKEN).read_text().strip()
    asked = urllib.request.Request(f"{address(node)}/api/v1/links", method="POST", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return str(json.load(answer)["url"])
