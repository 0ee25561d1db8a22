"""The file that `ctorrent open` shows to a browser, and the two places where a formula is defused."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from ctorrent.web import reach
from ctorrent.web.rules import WebRules
from tests.cli.formulas import DEFUSED
from tests.web.served import small

pytestmark = pytest.mark.real

# Columns of rows that each name others, of one row that names many, cells of a CSV of those, and of a row of seventy fields
GATHERED = """async () => {
  const {csv, gather} = await import('/job_download.js')
  const of = (rows) => { const columns = new Set(); for (const value of rows) gather(columns, {value}); return columns }
  const many = Object.fromEntries(Array.from({length: 3000}, (_, n) => [`k${n}`, n]))
  const few = Object.fromEntries(Object.entries(many).slice(0, 70))
  const lines = csv([[{index: 0, value: many}, {index: 1, value: {k7: 100}}]], [...of([many])].slice(0, 1000))
  const cells = lines.join('').trim().split('\\n').map((line) => line.split(','))
  const row = {index: 0, seed: 7, state: 'settled', params: {k: 1, state: 2}, value: {seed: 3, k: 4, y: 5}, workers: ['a', 'b'], agreed: 2, seconds: 1}
  const named = new Set()
  gather(named, row)
  const [head, first] = csv([[row]], [...named]).join('').trim().split('\\n')
  if (head !== 'index,k,params.state,seed,state,result.seed,result.k,y,error,workers,agreed,seconds' || first !== '0,1,2,7,settled,3,4,5,,a b,2,1') return [head, first]
  return [of(Array.from({length: 2000}, (_, n) => ({[`a${n}`]: 1, [`b${n}`]: 1}))).size, of([many]).size, [Number(cells[1][1002]) + 1, Number(cells[2][10])], of([few]).size]
}"""


def test_a_browser_that_is_shown_the_file_is_in_and_defuses_as_the_command_does(chromium: Browser, tmp_path: Path) -> None:
    with small(tmp_path / "data", WebRules()) as served:
        page = chromium.new_page()
        link = reach.link(served.folder)["url"]
        page.goto(reach.way(served.folder, link).as_uri())
        page.wait_for_url(f"{served.url}/**")
        page.wait_for_url(lambda url: "/open" not in url)
        assert page.evaluate("async () => (await fetch('/api/v1/status')).status") == 200
        found = page.evaluate("async (texts) => { const {defused} = await import('/job_download.js'); return texts.map(defused) }", list(DEFUSED))
        assert dict(zip(DEFUSED, found, strict=True)) == DEFUSED
        assert page.evaluate(GATHERED) == [1001, 1001, [1000, 100], 70]
        page.goto(link)  # once more, by who is in already
        page.wait_for_url(lambda url: "/open" not in url)
        stranger = chromium.new_context().new_page()
        stranger.goto(link)
        expect(stranger.get_by_role("heading", name="This link was used")).to_be_visible()
        stranger.wait_for_url(f"{served.url}/open")  # the key is not left in the address bar
        stranger.context.close()
        page.close()
