"""Where the HTTP side listens: what a person may write, what is taken, and TLS beyond this machine."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import httpx
import pytest

from ctorrent.errors import LocalError
from ctorrent.web import place
from ctorrent.web.rules import WebRules

from .conftest import LIMIT_S
from .served import small


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8420", "127.0.0.1", 8420), ("[::1]:0", "::1", 0), ("localhost:80", "localhost", 80), ("https://0.0.0.0:1", "0.0.0.0", 1), ("http://127.0.0.1:9/", "127.0.0.1", 9)],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert place.parse(text) == (host, port)


@pytest.mark.parametrize("text", ["", "8420", ":8420", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:70000", "::1:80", "a b:1", "http://192.168.1.5:80", "host:-1", "127.0.0.1:8\u0664"])
def test_what_is_no_address_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(LocalError) as refused:
        place.parse(text)
    assert refused.value.hint


def test_who_listens_takes_away_its_own_address_and_no_other(tmp_path: Path) -> None:
    found = place.claim("127.0.0.1:0", tmp_path)
    assert found is not None
    found.publish()
    (tmp_path / "http.addr").write_text("http://127.0.0.1:1\n")
    assert place.claim("off", tmp_path) is None
    found.release()
    assert (tmp_path / "http.addr").read_text() == "http://127.0.0.1:1\n"
    again = place.claim("127.0.0.1:0", tmp_path)
    assert again is not None
    again.publish()
    again.release()
    assert not (tmp_path / "http.addr").exists()


@pytest.mark.real
def test_a_port_that_was_asked_for_is_that_one_or_none(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(LocalError) as refused:
            place.claim(f"127.0.0.1:{taken.getsockname()[1]}", tmp_path)
        assert "listens at" in refused.value.message and "--http off" in refused.value.hint
    with pytest.raises(LocalError, match="no address of this machine"):
        place.claim("192.0.2.7:0", tmp_path)


@pytest.mark.real
def test_the_usual_port_that_is_taken_is_replaced_and_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        usual = f"127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setattr(place, "DEFAULT", usual)
        found = place.claim(usual, tmp_path)
        assert found is not None and found.port != taken.getsockname()[1] and str(found.port) in found.note
        found.release()


@pytest.mark.real
def test_beyond_this_machine_there_is_only_tls(tmp_path: Path) -> None:
    with small(tmp_path / "data", WebRules(), "0.0.0.0:0") as site:
        assert site.url.startswith("https://")
        path = site.folder / "http.pem"
        assert path.stat().st_mode & 0o777 == 0o600
        trusting = ssl.create_default_context(cafile=str(path))
        headers = {"Authorization": f"Bearer {site.token}"}
        with httpx.Client(verify=trusting, headers=headers, timeout=LIMIT_S, trust_env=False) as api:
            assert api.get(f"{site.url}/api/v1/status").status_code == 200
            assert api.get(f"{site.url}/api/v1/status", headers={"Host": "evil.example"}).status_code == 421
            assert "secure" in api.post(f"{site.url}/api/v1/session").headers["set-cookie"].lower()
        with httpx.Client(headers=headers, timeout=LIMIT_S, trust_env=False) as plain, pytest.raises(httpx.TransportError):
            plain.get(f"http://127.0.0.1:{site.port}/api/v1/status")
        first = path.read_bytes()
    with small(tmp_path / "data", WebRules(), "0.0.0.0:0"):
        assert path.read_bytes() == first  # the same at every start: it was compared once
