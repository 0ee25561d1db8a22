"""What a person who cannot see the page, or has a small or a dark screen, meets: axe, and what sticks out."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

GRAVE = ("serious", "critical")
SCREENS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "light"},
}


def findings(page: Page) -> list[str]:
    """Serious and critical findings of axe, a line each with where."""
    if not page.evaluate("Boolean(window.axe)"):  # read once by a page: it is half a megabyte
        page.evaluate(Axe().axe_script)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']}).then(all => all.violations)")
    return [f"{one['id']}: {one['help']} at {node['target']} ({node['html'][:120]})" for one in found if one["impact"] in GRAVE for node in one["nodes"][:3]]


def wrong(page: Page, screens: tuple[str, ...] = tuple(SCREENS)) -> list[str]:
    """What a person meets of it on each of those screens, from which it is left on the last."""
    found = []
    for name in screens:
        page.set_viewport_size(SCREENS[name]["viewport"])
        page.emulate_media(color_scheme=SCREENS[name]["color_scheme"], reduced_motion="reduce")
        found += [f"{name}: {one}" for one in findings(page)]
        if (wider := sticks_out(page)) > 0:
            found.append(f"{name}: the page is {wider} px wider than its window")
    return found


def sticks_out(page: Page) -> int:
    """CSS pixels by which the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
