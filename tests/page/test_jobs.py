"""Jobs in the page of a real node: from the form to the downloaded result, with friends who leave in the middle."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.real.herd import Tended, ended, rows, until, write_job

from .conftest import address
from .looks import SCREENS, findings, sticks_out, wrong

pytestmark = pytest.mark.real

SETTLED_MS = 60_000  # of a short job; two cores may be shared with a whole test run
LEFT_MS = 3_000  # in which a friend's leaving changes the head
LONG = 400  # blocks of a job that does not end while a test looks at it, however slow the machine
SQUARES = "def run(x, seed):\n    print(f'square of {x}')\n    return {'square': x * x, 'odd': bool(x % 2)}\n"
SLOW = """
    import time

    def run(item, seed):
        time.sleep(0.15)
        return {"item": item}
    """
DROP = """files => {
    const transfer = new DataTransfer()
    for (const [name, text] of files) transfer.items.add(new File([text], name))
    return ["dragover", "drop"].map(kind => !document.querySelector("main").dispatchEvent(new DragEvent(kind, {bubbles: true, cancelable: true, dataTransfer: transfer})))
}"""  # -> is each kept from the browser, which would leave the page for the file?
SLOW_JOB = "name: {name}\npython: work.py:run\nblocks: {{items: [{items}]}}\ncoalesce: off\n"


def test_from_the_form_to_the_downloaded_result(three: tuple[Tended, ...], browse: Callable[..., Page]) -> None:
    alice = three[0]
    page = browse(alice, "jobs")
    expect(page.get_by_text("No job yet")).to_be_visible()
    page.get_by_role("link", name="Make the first job").click()
    page.get_by_label("Program").fill(SQUARES)
    expect(page.get_by_role("combobox", name="Function")).to_have_value("run")
    page.get_by_label("a grid of values").check()
    page.get_by_label("Values of each parameter").fill("x: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")
    page.get_by_label("Name of the job").fill("=squares, of =x")
    page.get_by_role("button", name="Try one block").click()
    expect(page.get_by_text("12 blocks, each by 2 owners that must agree.")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="=squares, of =x")).to_be_visible()
    expect(page.locator(".view-head .pill")).to_have_text("settled", timeout=SETTLED_MS)
    expect(page.get_by_text("12 blocks: 12 settled")).to_be_visible()
    expect(page.get_by_role("application")).to_have_attribute("aria-label", re.compile("^Map of 12 blocks.* 12 settled"))

    job = page.url.split("/jobs/")[1].split("/")[0]
    page.get_by_role("tab", name="Results").click()
    expect(page.locator("table.rows tbody tr").nth(11)).to_contain_text("144")
    table = list(csv.reader(io.StringIO(downloaded(page, "Download CSV").decode())))
    assert table[0] == ["index", "x", "seed", "state", "odd", "square", "error", "workers", "agreed", "seconds"]  # as of ctorrent results
    assert [line[:2] + line[4:6] for line in table[1:]] == [[str(x - 1), str(x), str(x % 2 == 1).lower(), str(x * x)] for x in range(1, 13)]
    found = json.loads(downloaded(page, "Download JSON"))
    assert [row["value"] for row in found] == [row["value"] for row in rows(alice.net, job)]
    with page.expect_download() as receipt:
        page.get_by_role("button", name="Receipt").click()
    assert Path(receipt.value.path()).stat().st_size > 1000

    page.get_by_role("tab", name="Log").click()
    page.get_by_label("Filter the log").fill("square of 7")
    expect(page.locator(".log-line")).to_have_count(1)
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("Submitted once more")).to_be_visible()
    page.wait_for_url(lambda url: "/jobs/" in url and job not in url)
    expect(page.locator(".view-head .pill")).to_have_text("settled", timeout=SETTLED_MS)


@pytest.fixture(scope="module")
def done(three: tuple[Tended, ...], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A job of alice's that has ended, with twelve rows."""
    alice = three[0]
    path = write_job(tmp_path_factory.mktemp("done"), SQUARES, "name: done\npython: work.py:run\nblocks: {grid: {x: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}}\n")
    job = alice.net.submit(path)
    ended(alice.net, job)
    return job


def downloaded(page: Page, button: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=button).click()
    return Path(download.value.path()).read_bytes()


def test_what_is_wrong_is_said_beside_its_field(three: tuple[Tended, ...], browse: Callable[..., Page]) -> None:
    page = browse(three[0], "jobs/new")
    submit = page.get_by_role("button", name="Submit")
    submit.click()
    expect(page.get_by_label("Program")).to_be_focused()
    page.get_by_label("Program").fill("def run(x):\n    return 1 / x\n")
    page.get_by_label("a grid of values").check()
    page.get_by_label("Values of each parameter").fill("x 1 2")
    submit.click()
    expect(page.locator("#w-grid")).to_contain_text("write NAME: VALUE")
    page.get_by_label("Values of each parameter").fill("x: 0")
    submit.click()
    expect(page.locator(".plan")).to_contain_text("ZeroDivisionError")
    page.get_by_text("More: packages").click()
    page.get_by_label("Longest block").fill("soon")
    submit.click()
    expect(page.locator("#w-seconds")).to_be_visible()  # in the node's own words
    page.get_by_label("Program").fill("def run(x):\n    return (1\n")
    page.get_by_label("Longest block").fill("")
    submit.click()
    expect(page.locator("#w-code")).to_contain_text("Line 2: '(' was never closed")
    page.get_by_role("tab", name="job.yaml").click()
    page.locator("#f-yaml").fill("python: mine.py:run\nblocks: {grid: {x: [1]}}\n")
    submit.click()
    expect(page.locator("#w-yaml")).to_contain_text("Drop it here as well")
    page.evaluate(DROP, [["mine.py", "def run(x):\n    return x\n"]])
    expect(page.locator(".files")).to_contain_text("mine.py")
    expect(page.locator("#f-yaml")).to_have_value(re.compile("mine.py:run"))  # it lies beside the job file, and is not a job of its own
    page.locator("#f-yaml").fill("python: work.py:run\nblocks: {grid: {x: [1]}}\nbloks: 3\n")
    submit.click()
    expect(page.locator("#w-yaml")).to_contain_text("bloks")
    assert page.evaluate("getSelection().toString()") == "bloks: 3" or page.locator("#f-yaml").evaluate("a => a.value.slice(a.selectionStart, a.selectionEnd)") == "bloks: 3"


def test_a_friend_pauses_in_the_middle(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    alice, bob, _ = three
    page = browse(alice, "jobs")
    expect(page.locator("#head")).to_contain_text("3 machines")
    job = alice.net.submit(slow(tmp_path, "pauses", LONG))
    page.get_by_role("link", name="pauses").click()
    expect(page.locator("tr", has_text="bob").locator(".pill")).to_have_text("engaged")
    until(lambda: worker(alice, job, "bob")["done"] > 0, "bob computes something")
    bob.net.share(False)
    try:
        expect(page.locator("#head")).to_contain_text("2 machines", timeout=LEFT_MS)
    except AssertionError:  # the machine may have stood still: once more
        bob.net.share(True)
        expect(page.locator("#head")).to_contain_text("3 machines")
        bob.net.share(False)
        expect(page.locator("#head")).to_contain_text("2 machines", timeout=LEFT_MS)
    expect(page.locator("tr", has_text="bob").locator("td").nth(1)).to_have_text("–")  # nothing runs there
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".view-head .pill")).to_have_text("paused")
    by_bob, settled = worker(alice, job, "bob")["done"], alice.net.job(job)["settled"]
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".view-head .pill")).to_have_text("running")
    until(lambda: alice.net.job(job)["settled"] > settled + 10, "it goes on without him")
    assert worker(alice, job, "bob")["done"] == by_bob
    alice.net.cancel(job)
    bob.net.share(True)
    expect(page.locator("#head")).to_contain_text("3 machines")


def slow(folder: Path, name: str, blocks: int) -> Path:
    return write_job(folder / name, SLOW, SLOW_JOB.format(name=json.dumps(name), items=", ".join(map(str, range(blocks)))))


def worker(node: Tended, job: str, name: str) -> dict[str, Any]:
    return next((row for row in node.net.job(job)["workers"] if row["name"] == name), {"done": 0})


def test_hostile_names_and_logs_are_text(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    alice = three[0]
    evil = "<img src=x onerror='window.pwned=1'>\u202e<script>window.pwned=2</script>"
    program = f"""
    def run(item, seed):
        print({evil!r})
        if item == 3:
            raise ValueError({evil!r})
        return {{{evil!r}: {evil!r}, "formula": "=HYPERLINK(1)"}}
    """
    name = evil.replace("\u202e", "")
    job = alice.net.submit(write_job(tmp_path / "evil", program, f"name: {json.dumps(name)}\npython: work.py:run\nblocks: {{items: [1, 2, 3]}}\non_error: keep\n"))
    ended(alice.net, job)
    page = browse(alice, "jobs")
    expect(page.get_by_role("link", name="<img src=x onerror")).to_be_visible()
    page.get_by_role("link", name="<img src=x onerror").click()
    expect(page.locator(".note.bad")).to_contain_text("Block 2 failed: ValueError")
    for part in ("Workers", "Results", "Log", "Disputes", "Why", "About"):
        page.get_by_role("tab", name=part).click()
        if part == "Results":
            page.get_by_role("button", name="Block 2", exact=True).click()
            expect(page.locator(".block-detail")).to_contain_text("<script>window.pwned=2</script>")
        if part == "Log":
            expect(page.locator(".log-line.bad").first).to_contain_text("Traceback")
            expect(page.locator(".log-line").first).to_contain_text("<img src=x onerror='window.pwned=1'>\ufffd<script>")
    assert page.locator("main img, main script, main iframe").count() == 0
    assert page.evaluate("window.pwned") is None
    assert sum(map(int, page.locator(".legend b").all_inner_texts())) == 3, "the legend counts each block once"
    page.get_by_role("tab", name="Results").click()
    assert ",'=HYPERLINK(1)," in downloaded(page, "Download CSV").decode()


def test_a_file_dropped_on_any_view_is_a_new_job(three: tuple[Tended, ...], browse: Callable[..., Page]) -> None:
    page = browse(three[0], "guide")
    expect(page.get_by_role("heading", name="Begin")).to_be_visible()
    assert page.evaluate(DROP, [["job.yaml", "name: dropped\npython: work.py:run\nblocks: {grid: {x: [1, 2]}}\n"], ["work.py", SQUARES]]) == [True, True]
    expect(page.get_by_role("heading", name="New job")).to_be_visible()
    expect(page.locator("#f-yaml")).to_have_value(re.compile("name: dropped"))
    expect(page.locator(".files li")).to_have_count(2)
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".view-head .pill")).to_have_text("settled", timeout=SETTLED_MS)
    page.get_by_role("link", name="All jobs").click()
    expect(page.get_by_role("link", name="dropped")).to_be_visible()
    assert page.evaluate(DROP, [["mine.py", "def mine(x):\n    return x\n"]]) == [True, True]
    expect(page.get_by_label("Program")).to_have_value(re.compile("def mine"))
    expect(page.get_by_role("combobox", name="Function")).to_have_value("mine")


def test_the_guide_tells_that_a_job_was_run_before(three: tuple[Tended, ...], done: str, browse: Callable[..., Page]) -> None:
    page = browse(three[0], "jobs")
    expect(page.locator(f"a[href$='{done}']")).to_be_visible()  # the stream has told of it, and says nothing more
    page.get_by_role("link", name="Guide").click()
    expect(page.get_by_role("region", name="Run a first job – done: a job was run")).to_be_visible()


def test_a_folder_s_files_are_a_job(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    write_job(tmp_path / "pictures", PICTURE, "python: work.py:run\nblocks: {count: 3}\nfiles: [data/]\n")
    (tmp_path / "pictures" / "data").mkdir()
    (tmp_path / "pictures" / "data" / "shade.txt").write_text("200")
    page = browse(three[0], "jobs/new/folder")
    page.get_by_label("A folder").set_input_files(tmp_path / "pictures")
    expect(page.get_by_text("data/shade.txt")).to_be_visible()
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".view-head .pill")).to_have_text("settled", timeout=SETTLED_MS)
    expect(page.get_by_role("heading", name="pictures")).to_be_visible()
    expect(page.get_by_role("img", name="block 1, png: image, 40 × 30")).to_be_visible()
    shade = page.get_by_role("img", name="block 1, grey: image, 16 × 12").evaluate("c => c.getContext('2d').getImageData(5, 5, 1, 1).data[0]")
    assert shade == 200


PICTURE = """
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def run(index, seed):
        shade = int(open("data/shade.txt").read())
        line = b"\\0" + bytes([shade]) * 40
        png = b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 30, 8, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(line * 30)) + chunk(b"IEND", b"")
        return {"png": png, "grey": b"P5 16 12 255\\n" + bytes([shade]) * 192}
    """


def test_no_serious_finding_of_axe(three: tuple[Tended, ...], done: str, browse: Callable[..., Page]) -> None:
    page = browse(three[0], "jobs")
    expect(page.locator("li.job").first).to_be_visible()
    assert wrong(page) == []
    page.locator(f"a[href$='{done}']").click()
    expect(page.locator(".legend li").first).to_be_visible()
    expect(page.locator("table.rows tbody tr").nth(3)).to_be_visible()
    assert wrong(page) == []
    for part in ("Workers", "Log", "Why", "About", "Disputes"):
        page.get_by_role("tab", name=part).click()
        expect(page.locator("#part").get_by_text(re.compile("Asking|Reading"))).to_have_count(0)
        assert wrong(page, ("light", "phone")) == [], part
    page.goto(f"{address(three[0])}/#/jobs/new")
    page.get_by_role("button", name="Use an example").click()
    page.get_by_text("More: packages").click()
    assert wrong(page) == []


def test_by_keyboard_alone(three: tuple[Tended, ...], done: str, browse: Callable[..., Page]) -> None:
    page = browse(three[0], "jobs")
    expect(page.locator("li.job").first).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("li.job a").first).to_be_focused()
    page.keyboard.press("Enter")
    box = page.get_by_role("application")
    expect(box).to_have_attribute("aria-label", re.compile("^Map of"))  # the blocks have come
    box.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".map + .legend + p")).to_contain_text("Block 1: settled")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Block 1", exact=True)).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_role("heading", name="New job")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    page.goto(f"{address(three[0])}/#/nonsense")
    expect(page.get_by_role("heading", name="There is no such page")).to_be_visible()
    page.locator("main").get_by_role("link", name="Network").click()
    expect(page.get_by_role("heading", name="Network")).to_be_visible()


def test_a_job_that_waits_for_owners_needs_its_person_and_cancel_asks_first(three: tuple[Tended, ...], browse: Callable[..., Page], tmp_path: Path) -> None:
    alice = three[0]
    job = alice.net.submit(write_job(tmp_path / "many", SQUARES, "name: wants seven\npython: work.py:run\nblocks: {grid: {x: [1]}}\nverify: {replicas: 7}\n"))
    page = browse(alice, "jobs")
    page.get_by_role("button", name="needs me").click()
    waits = page.locator("li.job", has_text="wants seven")
    expect(waits).to_contain_text("Make an invite, in the Guide")
    assert "ctorrent" not in waits.inner_text() and "--" not in waits.inner_text(), "a person at the page types nothing"
    waits.get_by_role("link").click()
    expect(page.get_by_role("link", name="Open the guide")).to_be_visible()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Keep it").click()
    assert alice.net.job(job)["state"] in ("waiting", "running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.locator(".view-head .pill")).to_have_text("cancelled")


def test_without_a_token_the_page_says_what_to_type(three: tuple[Tended, ...], chromium: Any) -> None:
    profile = chromium.new_context(**SCREENS["phone"] | {"color_scheme": "dark"})
    try:
        page = profile.new_page()
        page.goto(f"{address(three[0])}/#/jobs/abcdefgh")
        expect(page.get_by_text("ctorrent open", exact=True)).to_be_visible()
        assert findings(page) == []
        assert sticks_out(page) <= 0
        assert page.locator("nav").is_hidden()
    finally:
        profile.close()
