"""Who is let in, from where, and what a hostile page or neighbour gets."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from .conftest import Site

pytestmark = pytest.mark.real

SAME = {"Sec-Fetch-Site": "same-origin"}


def command(site: Site, *words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "ctorrent", *words, "--data-dir", str(site.data)]
    environ = {name: text for name, text in site.node.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    return subprocess.run(line, capture_output=True, text=True, timeout=60, env=environ)


def test_every_call_needs_the_token(site: Site) -> None:
    with site.client() as stranger, site.caller() as api:
        document = api.get("/api/v1/openapi.json").json()
        for path, operations in document["paths"].items():
            for method in operations:
                answer = stranger.request(method, re.sub(r"\{\w+\}", "0", path))
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"].startswith("Bearer") and answer.json()["hint"]
        assert stranger.get("/api/v1/openapi.json").status_code == 401
        assert stranger.get("/api/v1/status", params={"token": site.token}).status_code == 401


@pytest.mark.parametrize("shown", ["Bearer wrong", "Bearer", "Basic Zm9vOmJhcg==", "Bearer \u00e9", "Bearer " + "x" * 9000, "nothing"])
def test_wrong_tokens(site: Site, shown: str) -> None:
    with site.client() as stranger:
        assert stranger.get("/api/v1/status", headers=[(b"authorization", shown.encode("latin-1"))]).status_code in (401, 429)
        assert stranger.get("/api/v1/status", headers={"Authorization": f"Bearer {site.token}"}).status_code == 200


def test_many_wrong_tokens_are_told_to_wait_and_the_right_one_is_not(site: Site) -> None:
    with site.client() as stranger:
        answers = [stranger.get("/api/v1/status", headers={"Authorization": "Bearer no"}) for _ in range(15)]
        assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1
        assert stranger.get("/api/v1/status", headers={"Authorization": f"Bearer {site.token}"}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "evil@127.0.0.1", "", "127.0.0.1/x", "[::1", "8.8.8.8", "127.0.0.1 x"])
def test_a_name_that_was_bent_to_this_machine_is_refused(site: Site, host: str) -> None:
    with site.caller() as api:
        for path in ("/api/v1/status", "/", "/open?key=x"):
            assert api.get(path, headers={"Host": host}).status_code in (400, 421), path


@pytest.mark.parametrize("host", ["localhost:9999", "127.0.0.1", "[::1]:1", "LOCALHOST"])
def test_tunnels_and_other_names_of_this_machine_are_let_in(site: Site, host: str) -> None:
    with site.caller() as api:
        assert api.get("/api/v1/status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1", "file://"])
def test_pages_of_other_sites_are_refused(site: Site, origin: str) -> None:
    with site.caller() as api:
        for method, path in (("GET", "/api/v1/status"), ("POST", "/api/v1/stop"), ("POST", "/submit-job"), ("OPTIONS", "/api/v1/jobs")):
            answer = api.request(method, path, headers={"Origin": origin})
            assert answer.status_code == 403 and "access-control-allow-origin" not in answer.headers, (method, path)


@contextmanager
def opened(site: Site) -> Iterator[httpx.Client]:
    """A browser that followed the link."""
    made = command(site, "open")
    assert made.returncode == 0, made.stderr
    with site.client() as browser:
        answer = browser.get(made.stdout.strip(), headers={"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
        assert answer.status_code == 200
        yield browser


def test_the_link_opens_the_page_once(site: Site) -> None:
    link = command(site, "open").stdout.strip()
    assert link.startswith(f"{site.url}/open?key=")
    with site.client() as browser, site.client() as thief:
        answer = browser.get(link)
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie and "path=/" in cookie and answer.headers["referrer-policy"] == "no-referrer"
        assert browser.get("/api/v1/status", headers=SAME).status_code == 200
        assert thief.get(link).status_code == 403 and "set-cookie" not in thief.get(link).headers
    with opened(site) as browser:
        assert browser.post("/api/v1/links", headers=SAME).status_code == 403  # only the token makes links


def test_a_cookie_counts_only_where_the_page_sent_it(site: Site) -> None:
    with opened(site) as browser:
        own = {"Origin": site.url}
        assert browser.post("/api/v1/gc", params={"dry_run": True}, headers=own).status_code == 200
        assert browser.post("/api/v1/gc", params={"dry_run": True}).status_code == 403  # nobody says from where
        assert browser.post("/api/v1/gc", params={"dry_run": True}, headers={"Origin": "http://127.0.0.1:1"}).status_code == 403
        assert browser.post("/api/v1/stop", content="{}", headers={"Content-Type": "text/plain", "Origin": "https://evil.example"}).status_code == 403
        for other in ("cross-site", "same-site"):  # another port of 127.0.0.1 is the same site, and its pages send our cookie
            assert browser.get("/api/v1/status", headers={"Sec-Fetch-Site": other}).status_code == 403
            assert browser.get("/api/v1/jobs", headers={"Sec-Fetch-Site": other, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
        name, value = next(iter(browser.cookies.items()))
        with site.client() as forger:
            for wrong in (value[:-2] + "AA", value.replace(value.split(".")[0], "99999999999"), "", ".", value + "x"):
                assert forger.get("/api/v1/status", headers={"Cookie": f"{name}={wrong}", **SAME}).status_code in (401, 429), wrong


def test_a_pasted_token_becomes_a_cookie_that_can_be_given_back(site: Site) -> None:
    with site.client() as page:
        made = page.post("/api/v1/session", headers={"Authorization": f"Bearer {site.token}", "Origin": site.url})
        assert made.status_code == 204 and page.get("/api/v1/status", headers=SAME).status_code == 200
        assert page.delete("/api/v1/session", headers={"Origin": site.url}).status_code == 204
        assert page.get("/api/v1/status", headers=SAME).status_code == 401


def test_what_every_answer_carries(site: Site) -> None:
    with site.client() as stranger:
        for path in ("/", "/api/v1/status", "/nothing"):
            headers = stranger.get(path).headers
            policy = headers["content-security-policy"]
            assert "script-src 'self'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
            assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
            assert "server" not in headers
        assert stranger.get("/").headers["cache-control"] == "no-cache"
        first = stranger.get("/api.js")
        assert stranger.get("/api.js", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("path", ["/../http.token", "/..%2f..%2fserve.py", "/%2e%2e/app.py", "//etc/passwd", "/static/../../app.py", "/%00", "/%c0%ae%c0%ae/app.py"])
def test_no_path_leads_out_of_the_page(site: Site, path: str) -> None:
    with site.client() as stranger:
        answer = stranger.get(httpx.URL(site.url).copy_with(raw_path=path.encode()))
        assert answer.status_code in (400, 404, 405) and "import" not in answer.text


def test_a_renewed_token_ends_the_old_one_and_every_cookie(site: Site) -> None:
    with opened(site) as browser:
        made = command(site, "token", "--renew")
        assert made.returncode == 0 and made.stdout.strip() != site.token
        refused = browser.get("/api/v1/status", headers=SAME).status_code
    try:
        assert refused in (401, 429)
        assert site.code(site.token) in (401, 429)
        assert site.code(made.stdout.strip()) == 200
        assert command(site, "token").stdout == made.stdout
    finally:  # the other tests show the first one
        (site.data / "http.token").write_text(site.token + "\n")
    path = site.data / "http.token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert site.code(site.token) == 200


def test_a_token_that_others_can_read_lets_nobody_in(site: Site) -> None:
    path = site.data / "http.token"
    try:
        path.chmod(0o644)
        path.write_text(site.token + "\n\n")  # a change of it is what the node looks at
        assert site.code(site.token) in (401, 429)
        shown = command(site, "token")
        assert shown.returncode == 2 and "--renew" in shown.stderr and site.token not in shown.stderr
    finally:
        path.chmod(0o600)
        path.write_text(site.token + "\n")
    assert site.code(site.token) == 200


def test_no_secret_in_the_logs(site: Site) -> None:
    with opened(site) as browser:
        browser.get("/api/v1/status", headers=SAME)
        browser.get("/api/v1/status", headers={"Authorization": "Bearer someone-elses-secret"})
        cookie = next(iter(browser.cookies.values()))
    said = site.node.said() + "".join(path.read_text(errors="replace") for path in (site.data / "logs").rglob("*") if path.is_file())
    for secret in (site.token, cookie, "someone-elses-secret", "key="):
        assert secret not in said
