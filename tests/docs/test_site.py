"""The site that `make docs` builds: strictly, in seconds, without a byte from elsewhere, and with every page reached."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

import ctorrent

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.real, pytest.mark.slow]
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
LOADING_RELS = {"stylesheet", "preload", "preconnect", "icon", "dns-prefetch", "modulepreload"}


class Page(HTMLParser):
    """What a page leads to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in LOADED and given.get(LOADED[tag]):
            self.loads.append(given[LOADED[tag]])
        if tag == "link" and LOADING_RELS & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"})
    assert built.returncode == 0, built.stderr[-3000:]
    return folder


def test_every_page_is_reached_from_the_first(site: Path) -> None:
    every = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - {"404.html"}
    sources = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert len(every) == len(sources) > 30, "a page for each file of docs/"
    seen, ahead = {"index.html"}, ["index.html"]
    while ahead:
        at = ahead.pop()
        for link in Page((site / at).read_text()).links:
            path = unquote(link.partition("#")[0])
            if not path or re.match(r"[a-z]+:", path):
                continue
            target = (site / at).parent.joinpath(path).resolve()
            assert target.exists(), (at, link)
            name = target.relative_to(site.resolve()).as_posix()
            if name in every and name not in seen:
                seen.add(name)
                ahead.append(name)
    assert seen == every


def test_it_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        assert not [one for one in Page(path.read_text()).loads if re.match(r"(https?:)?//", one)], path.name
    for path in site.rglob("*.css"):
        assert not re.findall(r"(?:@import|url\()\s*['\"]?(?:https?:)?//[^)'\"]+", path.read_text()), path.name


def test_it_can_be_searched(site: Path) -> None:
    found = json.loads((site / "search" / "search_index.json").read_text())["docs"]
    assert {"guides/first_job.html", "memory.html", "reference/library.html"} <= {one["location"].partition("#")[0] for one in found}


def test_the_reference_has_every_public_name(site: Path) -> None:
    pages = "\n".join(path.read_text() for path in (site / "reference").glob("*.html"))
    anchors = {anchor.rpartition(".")[2] for anchor in re.findall(r'id="(ctorrent\.[\w.]+)"', pages)}
    assert not sorted(set(ctorrent.__all__) - anchors), "add them to docs/reference/"
