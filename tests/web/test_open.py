"""`ctorrent open`: no other user of this machine sees the link, and a browser that is shown the file is let in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import httpx
import pytest

from ctorrent.door import HTTP_OPEN
from ctorrent.errors import Unavailable
from ctorrent.web import place, reach
from ctorrent.web.rules import WebRules

from .conftest import LIMIT_S
from .served import Small, small

pytestmark = pytest.mark.real


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Small]:
    with small(tmp_path / "my data", WebRules()) as found:
        yield found


def command(served: Small, *words: str, browser: str = "") -> str:
    environ = {name: text for name, text in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_CONNECTION")}
    line = [sys.executable, "-m", "ctorrent", "open", "--data-dir", str(served.folder), *words]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=60, env=environ | ({"BROWSER": browser} if browser else {}))
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def link_in(text: str) -> str:
    """Where a browser goes that is shown this page."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            given = dict(attrs)
            if given.get("http-equiv") == "refresh":
                found.append((given["content"] or "").removeprefix("0;url="))

    Reader().feed(text)
    assert len(found) == 1
    return found[0]


def test_the_browser_is_given_a_file_and_not_the_link(served: Small, tmp_path: Path) -> None:
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nprintf %s "$*" > "{tmp_path}/argv"\n')
    program.chmod(0o700)
    said = command(served, browser=f"{program} %s")
    argv = (tmp_path / "argv").read_text()
    assert argv.startswith("file:///") and "key=" not in argv + said and served.url in said
    path = Path(unquote(urlsplit(argv).path))
    assert path == served.folder / HTTP_OPEN and path.stat().st_mode & 0o777 == 0o600
    with httpx.Client(base_url=served.url, timeout=LIMIT_S, trust_env=False) as browser:
        assert browser.get(link_in(path.read_text()), headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}).status_code == 200
        assert browser.get("/api/v1/status", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert "key=" in command(served, "--no-browser") and not path.exists()


def test_a_browser_that_does_not_start_leaves_the_printed_link(served: Small) -> None:
    assert command(served, browser="/nowhere/browser %s").startswith(f"{served.url}/open?key=")
    assert not (served.folder / HTTP_OPEN).exists()


def test_who_took_the_port_of_a_node_that_was_killed_is_shown_no_token(served: Small, tmp_path: Path) -> None:
    """It may even ask the node itself, which has another port now."""
    heard: list[str] = []

    class Squatter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(f"{self.path} {self.headers}")
            self.send_response(200)
            self.end_headers()
            self.wfile.write(httpx.get(served.url + self.path, timeout=LIMIT_S, trust_env=False).content)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    address = served.folder / "http.addr"
    with HTTPServer(("127.0.0.1", 0), Squatter) as squatter:
        Thread(target=squatter.serve_forever).start()
        try:
            address.write_text(f"http://127.0.0.1:{squatter.server_port}\n")
            with pytest.raises(Unavailable, match="is not your node"):
                reach.link(served.folder)
            address.write_text(served.url)
            assert reach.link(served.folder)["url"].startswith(served.url)
        finally:
            squatter.shutdown()
    assert heard and not any(served.token in one for one in heard)


def test_localhost_is_one_address(tmp_path: Path) -> None:
    """The name means ::1 as well, where anybody may listen."""
    found = place.claim("localhost:0", tmp_path)
    assert found is not None and found.url == f"http://127.0.0.1:{found.port}"
    found.release()


def test_the_file_holds_any_link(tmp_path: Path) -> None:
    url = "https://[::1]:1/open?key=\"><script>&amp;'"
    path = reach.way(tmp_path, url)
    assert link_in(path.read_text()) == url and "<script" not in path.read_text()


def test_a_node_that_ends_takes_the_file_away(tmp_path: Path) -> None:
    found = place.claim("127.0.0.1:0", tmp_path)
    assert found is not None
    path = reach.way(tmp_path, found.url)
    found.release()
    assert not path.exists()
