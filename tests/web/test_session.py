"""The page's cookie ends: nobody renews it with itself, and one that was given back holds no longer, also after a restart."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from ctorrent.web.caller import GONE, user_of
from ctorrent.web.ended import Ended
from ctorrent.web.rules import WebRules
from ctorrent.web.tokens import Tokens, make
from tests.real.herd import until

from .conftest import LIMIT_S
from .served import Small, small

pytestmark = pytest.mark.real
SAME = {"Sec-Fetch-Site": "same-origin"}


@contextmanager
def page(served: Small) -> Iterator[httpx.Client]:
    """A browser that a person pasted the token into."""
    with httpx.Client(base_url=served.url, headers={**SAME, "Origin": served.url}, timeout=LIMIT_S, trust_env=False) as browser:
        assert browser.post("/api/v1/session", headers={"Authorization": f"Bearer {served.token}"}).status_code == 204
        yield browser


def code(served: Small, cookie: str) -> int:
    return httpx.get(f"{served.url}/api/v1/status", headers={"Cookie": cookie, **SAME}, timeout=LIMIT_S, trust_env=False).status_code


def shown(browser: httpx.Client, port: int) -> str:
    return f"ctorrent_{port}={next(iter(browser.cookies.values()))}"


def test_a_cookie_makes_no_other(tmp_path: Path) -> None:
    with small(tmp_path, WebRules()) as served, page(served) as browser:
        answer = browser.post("/api/v1/session")
        assert answer.status_code == 403 and "set-cookie" not in answer.headers and answer.json()["hint"]
        assert browser.get("/api/v1/status").status_code == 200


def test_a_cookie_that_was_given_back_holds_nowhere(tmp_path: Path) -> None:
    with small(tmp_path, WebRules()) as served, page(served) as browser, page(served) as other:
        value = next(iter(browser.cookies.values()))
        kept = shown(browser, served.port)
        assert code(served, kept) == 200
        assert browser.delete("/api/v1/session").status_code == 204
        assert code(served, kept) == 401
        assert other.get("/api/v1/status").status_code == 200
        stays = next(iter(other.cookies.values()))
    with small(tmp_path, WebRules()) as again:
        assert code(again, f"ctorrent_{again.port}={value}") == 401
        assert code(again, f"ctorrent_{again.port}={stays}") == 200


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not say whose a socket is")
def test_a_cookie_is_for_programs_of_the_user_it_was_given_to(tmp_path: Path) -> None:
    """A page that another user serves at another port of 127.0.0.1 is sent our cookie."""
    with small(tmp_path, WebRules()) as served, page(served) as browser:
        assert next(iter(browser.cookies.values())).split(".")[2] == str(os.getuid())
        for user, answer in (("", 200), (str(os.getuid()), 200), (str(os.getuid() + 1), 401), (GONE, 401)):
            assert code(served, f"ctorrent_{served.port}={Tokens(tmp_path, WebRules()).cookie(user)}") == answer, user


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="the kernel does not say whose a socket is")
@pytest.mark.parametrize(("ours", "theirs"), [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("127.0.0.1", "::ffff:127.0.0.1")])
def test_whose_a_socket_is(ours: str, theirs: str) -> None:
    with socket.create_server((ours, 0), family=socket.AF_INET6 if ":" in ours else socket.AF_INET) as server:
        here = server.getsockname()[:2]
        with socket.create_connection((theirs, here[1])) as client:
            taken, there = server.accept()
            with taken:
                assert user_of(there[:2], here) == str(os.getuid())
            assert user_of(("192.0.2.1", 5), here) == ""  # another machine
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert user_of(there[:2], here) == GONE  # it sent what it had, and hid
    assert user_of(there[:2], here) == ""


def test_streams_end_with_what_opened_them(tmp_path: Path) -> None:
    with small(tmp_path, WebRules()) as served, page(served) as browser, page(served) as other:
        url, kept = f"{served.url.replace('http', 'ws')}/api/v1/ws", {"Cookie": shown(browser, served.port), **SAME}
        asked = {"Cookie": shown(other, served.port), **SAME}
        with browser.stream("GET", "/api/v1/events") as stream, connect(url, additional_headers=kept, proxy=None) as socket, connect(url, additional_headers=asked, proxy=None) as stays:
            pieces = stream.iter_raw()
            assert next(pieces) and socket.recv(timeout=20)
            began = time.monotonic()
            assert other.delete("/api/v1/session", headers={"Cookie": shown(browser, served.port)}).status_code == 204
            for _ in pieces:  # its end, not an error
                assert time.monotonic() - began < 10
            with pytest.raises(ConnectionClosedError, match="holds no longer"):
                while time.monotonic() - began < 10:
                    socket.recv(timeout=10)
            assert stays.recv(timeout=20)
            make(tmp_path)  # ctorrent token --renew
            with pytest.raises(ConnectionClosedError):
                while time.monotonic() - began < 20:
                    stays.recv(timeout=10)
        until(lambda: served.door.listeners == 0, "nobody is told anything any more")


def test_as_many_as_one_likes_take_bounded_room_and_none_revives(tmp_path: Path) -> None:
    path, now = tmp_path / "ended", int(time.time())
    ended = Ended(path, 4, 100.0)
    for number in range(20):
        ended.add(now + number + 1, f"serial{number}")
    for seen in (ended, Ended(path, 4, 100.0)):
        assert all(seen.has(now + number + 1, f"serial{number}") for number in range(20))
        assert not seen.has(now + 21, "another")
    assert path.stat().st_size < 400 and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "{", "before x\n", "after 0\n", "before 0\nx serial\n", "before 0\n9\n", "é", "9" * 50_000])
def test_a_damaged_file_ends_all_cookies_and_not_the_node(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ended"
    path.write_text(text)
    ended = Ended(path, 4, 100.0)
    assert ended.has(int(time.time() + 99), "any") and not ended.has(int(time.time() + 101), "made later")
