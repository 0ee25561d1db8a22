"""Slow, huge and broken-off requests; too many connections, streams and calls; archives that mean harm."""

from __future__ import annotations

import socket
import stat
import time
import zipfile
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPResponse
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from ctorrent.web.job_folder import unpack
from ctorrent.web.problems import Problem
from ctorrent.web.rules import WebRules
from tests.real.herd import until

from .jobs import JOB, packed
from .served import Small, small

pytestmark = pytest.mark.real

RULES = WebRules(head_s=0.5, stall_s=0.5, body_bytes_max=10_000, job_bytes_max=200_000, job_files_max=20, upload_bytes_max=3_000_000, connections_max=8, streams_max=2, ping_s=0.2)


@pytest.fixture
def site(tmp_path: Path) -> Small:  # type: ignore[misc]
    with small(tmp_path / "data", RULES) as found:
        yield found


@pytest.fixture
def api(site: Small) -> httpx.Client:  # type: ignore[misc]
    with httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {site.token}"}, trust_env=False, timeout=20) as client:
        yield client


def raw(site: Small, *parts: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", site.port), timeout=20)
    for part in parts:
        made.sendall(part)
    return made


def head(site: Small, line: str, *more: str) -> bytes:
    return "\r\n".join([f"{line} HTTP/1.1", f"Host: 127.0.0.1:{site.port}", f"Authorization: Bearer {site.token}", *more, "", ""]).encode()


def all_of(connection: socket.socket) -> bytes:
    found = b""
    with suppress(ConnectionResetError):  # closed there while something of ours was still unread
        while data := connection.recv(1 << 16):
            found += data
    return found


def answer(connection: socket.socket) -> bytes:
    heard = HTTPResponse(connection)
    heard.begin()
    return heard.read()


def test_a_head_that_never_ends_is_cut_off(site: Small) -> None:
    with raw(site, b"GET /api/v1/status HTTP/1.1\r\nHost: 127") as one:
        began = time.monotonic()
        while time.monotonic() - began < 10:  # a byte now and then does not prolong it
            one.settimeout(0.1)
            try:
                one.sendall(b"x")
                if not one.recv(100):
                    break
            except TimeoutError:
                continue
            except OSError:  # a byte met the closed connection: it is reset
                break
        else:
            pytest.fail("after 10 s it is still open")
    with raw(site, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 5000) as two:
        assert all_of(two).startswith(b"HTTP/1.1 4")


def test_a_body_that_stops_coming_is_answered_and_forgotten(site: Small) -> None:
    for line in ("POST /api/v1/jobs", "POST /api/v1/blobs"):
        with raw(site, head(site, line, "Content-Length: 5000", "Content-Type: application/yaml"), b"name:") as one:
            assert b" 408 " in all_of(one).split(b"\r\n")[0], line
    until(lambda: not list((site.folder / "uploads").iterdir()), "the upload is gone")
    assert site.door.added == [] and site.door.submitted == []


def test_a_cut_upload_leaves_nothing(site: Small, api: httpx.Client) -> None:
    with raw(site, head(site, "POST /api/v1/blobs", "Content-Length: 2000000"), b"x" * 1_500_000):
        until(lambda: list((site.folder / "uploads").rglob("body")), "the upload has begun")
    until(lambda: not list((site.folder / "uploads").iterdir()), "the upload is gone")
    assert site.door.added == []
    assert api.post("/api/v1/blobs", content=b"y" * 2_500_000).json()["bytes"] == 2_500_000


def test_bodies_that_are_too_long(site: Small, api: httpx.Client) -> None:
    for path, size in (("/api/v1/invites", 20_000), ("/api/v1/jobs", 300_000), ("/api/v1/blobs", 4_000_000)):
        headers = {"Content-Type": "application/json"}
        said = api.post(path, content=b"[" * size, headers=headers)  # with its length: refused before it is read
        assert said.status_code == 413, path
        streamed = api.post(path, content=iter([b"[" * (size // 2)] * 2), headers=headers)
        assert streamed.status_code == 413 and streamed.headers["content-type"] == "application/problem+json", path
    for kind in ("application/json", "application/yaml"):  # these lie in memory: files go to the disk
        said = api.post("/api/v1/jobs", content=b"#" * 50_000, headers={"Content-Type": kind})
        assert said.status_code == 413 and "form or a zip" in said.json()["hint"], kind
    assert not list((site.folder / "uploads").iterdir())
    with raw(site, head(site, "POST /api/v1/invites", "Content-Length: -5")) as one:
        assert all_of(one).startswith(b"HTTP/1.1 4")
    assert api.post("/api/v1/invites", content=b"[" * 9_000, headers={"Content-Type": "application/json"}).status_code in (400, 422)


def test_a_full_disk_is_said(site: Small, api: httpx.Client) -> None:
    site.door.full = True
    answer = api.post("/api/v1/blobs", content=b"x")
    assert answer.status_code == 507 and answer.json()["hint"] == "Remove something."
    with small(site.folder.parent / "other", WebRules(disk_kept_bytes=1 << 60)) as tight:
        said = httpx.post(f"{tight.url}/api/v1/blobs", content=b"x", headers={"Authorization": f"Bearer {tight.token}"}, trust_env=False)
        assert said.status_code == 507 and "are free" in said.json()["detail"] and tight.door.added == []
        shown = {"Authorization": f"Bearer {tight.token}"}
        as_zip = httpx.post(f"{tight.url}/api/v1/jobs", content=packed({"job.yaml": JOB}), headers={**shown, "Content-Type": "application/zip"}, trust_env=False)
        as_form = httpx.post(f"{tight.url}/api/v1/jobs", files={"job": ("job.yaml", JOB)}, headers=shown, trust_env=False)
        assert (as_zip.status_code, as_form.status_code, tight.door.submitted) == (507, 507, [])


def serves(api: httpx.Client) -> bool:
    try:
        return api.get("/api/v1/status").status_code == 200
    except httpx.TransportError:
        return False


def test_connections_and_streams_are_counted(tmp_path: Path) -> None:
    """Who showed nothing makes room, the oldest first: another user of the machine can hold as many as there are."""
    with small(tmp_path / "data", replace(RULES, head_s=20.0)) as site, httpx.Client(base_url=site.url, headers={"Authorization": f"Bearer {site.token}"}, trust_env=False, timeout=20) as api:
        many = [raw(site) for _ in range(RULES.connections_max + 4)]
        for one in many[:4]:
            assert one.recv(1) == b""
        assert api.get("/api/v1/status").status_code == 200
        with raw(site, head(site, "GET /api/v1/status")) as known:
            assert b"small" in answer(known)
            many += [raw(site) for _ in range(RULES.connections_max)]
            assert many[-RULES.connections_max].recv(1) == b"" and serves(api)
            known.sendall(head(site, "GET /api/v1/status"))
            assert b"small" in answer(known)
        for one in many:
            one.close()
        _streams_are_counted(site, api)


def _streams_are_counted(site: Small, api: httpx.Client) -> None:
    with api.stream("GET", "/api/v1/events") as first, api.stream("GET", "/api/v1/events") as second:
        assert first.status_code == second.status_code == 200
        third = api.get("/api/v1/events")
        assert third.status_code == 503 and third.headers["retry-after"]
    until(lambda: not site.door.listeners, "the streams have ended")
    assert api.get("/api/v1/status").status_code == 200


def test_a_connection_ends_with_its_client(tmp_path: Path) -> None:
    with small(tmp_path / "data", WebRules(connections_max=8)) as site:  # an idle one may stay for 20 s
        headers = {"Authorization": f"Bearer {site.token}"}
        for _ in range(40):
            until(lambda: httpx.get(f"{site.url}/api/v1/status", headers=headers, trust_env=False).status_code == 200, "it is answered", 15.0)


def test_whoever_does_not_read_is_cut_off_and_holds_nobody(site: Small, api: httpx.Client) -> None:
    with raw(site, head(site, "GET /api/v1/events")) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        until(lambda: site.door.listeners == 1, "it is listened to")
        until(lambda: site.door.listeners == 0, "it is cut off")
    assert api.get("/api/v1/status").status_code == 200


def test_too_many_calls(tmp_path: Path) -> None:
    with small(tmp_path / "data", WebRules(calls_burst=5, calls_s=1.0)) as site:
        headers = {"Authorization": f"Bearer {site.token}"}
        with httpx.Client(base_url=site.url, headers=headers, trust_env=False) as api:
            codes = [api.get("/api/v1/status") for _ in range(12)]
        assert codes[0].status_code == 200 and codes[-1].status_code == 429 and codes[-1].headers["retry-after"] == "1"


def linked() -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("job.yaml", JOB)
        link = zipfile.ZipInfo("data")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return out.getvalue()


def test_the_list_of_an_archive_is_not_read_whatever_its_length(tmp_path: Path) -> None:
    path, listed = tmp_path / "long.zip", zipfile.ZipInfo("x")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(listed, b"")
        archive.filelist += [listed] * 100_000  # 5 MB, of which zipfile would make 60
    with pytest.raises(Problem, match="list of files") as refused:
        unpack(path, tmp_path, WebRules())
    assert refused.value.status_code == 413


@pytest.mark.parametrize(
    "name", ["../outside.py", "/etc/passwd", "a/../../b", "a\\..\\b", "C:x", "a//b", "./x", "x" * 300, "a\nb", "/".join("a" * 40)]
)
def test_names_that_lead_elsewhere(site: Small, api: httpx.Client, name: str) -> None:
    answers = [
        api.post("/api/v1/jobs", content=packed({"job.yaml": JOB, name: "x"}), headers={"Content-Type": "application/zip"}),
        api.post("/api/v1/jobs", json={"job": JOB, "files": {name: "x"}}),
    ]
    for answer in answers:
        assert answer.status_code == 400 and "inside a job's folder" in answer.json()["detail"], answer.text
    assert site.door.submitted == [] and not list((site.folder / "jobs-from-http").iterdir())


def test_archives_that_mean_harm(site: Small, api: httpx.Client) -> None:
    harmful = {
        "bomb": (packed({"job.yaml": JOB, "zeros": b"\0" * 10_000_000}), 413),
        "many": (packed({f"f{number}": "x" for number in range(50)}), 413),
        "link": (linked(), 400),
        "torn": (packed({"job.yaml": JOB})[:-30], 400),
        "none": (b"", 400),
        "other": (b"not a zip at all", 400),
        "twice": (packed({"job.yaml": JOB, "a": "x", "a/b": "y"}), 400),
        "no job": (packed({"work.py": "x"}), 422),
    }
    for what, (data, code) in harmful.items():
        answer = api.post("/api/v1/jobs", content=data, headers={"Content-Type": "application/zip"})
        assert answer.status_code == code and answer.headers["content-type"] == "application/problem+json", (what, answer.text)
    assert site.door.submitted == [] and not list((site.folder / "jobs-from-http").iterdir())


def test_forms_that_mean_harm(site: Small, api: httpx.Client) -> None:
    for name, code in (("../x", 400), ("", 400), ("ok.py", 201)):
        data = f'--b\r\nContent-Disposition: form-data; name="job"\r\n\r\n{JOB}\r\n--b\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nx\r\n--b--\r\n'
        answer = api.post("/api/v1/jobs", content=data.encode(), headers={"Content-Type": "multipart/form-data; boundary=b"})
        assert answer.status_code == code, (name, answer.text)
    assert api.post("/api/v1/jobs", content=b"x", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    assert [sorted(one) for one in site.door.submitted] == [["(folder)", "job.yaml", "ok.py"]]


def test_the_name_of_a_jobs_folder_is_only_a_name(site: Small, api: httpx.Client) -> None:
    for name in ("../../evil", "a/b", "..", "x" * 64):
        assert api.post("/api/v1/jobs", params={"name": name}, content=JOB, headers={"Content-Type": "application/yaml"}).status_code == 201
    folders = [one["(folder)"] for one in site.door.submitted]
    assert all("/" not in folder and folder.strip(".") for folder in folders), folders


def test_what_a_killed_node_left_is_taken_away(tmp_path: Path) -> None:
    for name in ("uploads", "jobs-from-http"):
        (tmp_path / "data" / name / "old").mkdir(parents=True)
    with small(tmp_path / "data", RULES):
        assert not list((tmp_path / "data").glob("*/old"))
    assert not (tmp_path / "data" / "http.addr").exists()
