"""`ctorrent report`: one page, nothing in it that runs or loads, bounded for any job."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from ctorrent import canon
from ctorrent.cli import page, plots
from tests.cli.conftest import Ran
from tests.cli.test_results import png
from tests.client.small_door import LIAR, NODE, OTHER, SmallDoor, job_status, report, worker

pytestmark = pytest.mark.real
Run = Callable[..., Ran]
Plain = dict[str, Any]
EVIL = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[31m\u202e&amp;"
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "main", "header", "section", "footer", "h1", "h2", "p", "b", "code", "div", "span", "i", "g",
    "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "dl", "dt", "dd", "pre", "svg", "rect", "line", "path", "text", "img",
}  # fmt: skip


class Reader(HTMLParser):
    """What a browser would make of it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def written(run: Run, folder: pathlib.Path) -> str:
    ran = run("report", "abc", "-o", str(folder / "r.html"), "--force")
    assert ran.code == 0, ran.err
    return (folder / "r.html").read_text()


def safe(text: str) -> Reader:
    read = Reader(text)
    assert read.open == [], "every tag is closed"
    assert read.tags <= ALLOWED
    for name, value in read.attributes:
        assert not name.startswith("on") and name not in ("href", "action", "xlink:href")
        assert name != "src" or value.startswith("data:image/png;base64,")
    assert "url(" not in text and "@import" not in text and not re.search(r"https?://", text)
    return read


def test_a_page_tells_of_the_job_and_loads_nothing(run: Run, tmp_path: pathlib.Path) -> None:
    text = written(run, tmp_path)
    words = " ".join(safe(text).words)
    for part in (
        "digits", "search.py:score", "Each settled block was computed by 2 or more owners who agreed", "Who computed when", "ann (here)", "eve",
        "How long blocks took", "Who agreed", "What it cost", "checking took 108% more", "credits", "ValueError: bad C", "a kernel bug reaches the machine",
        "3 entries in the ledger", "1 block disputed", 'result["accuracy"] is 0.97 and 0.1', "accuracy", "0.001",
    ):  # fmt: skip
        assert part in words, part
    assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text and "@media print" in text


def test_the_page_is_named_and_not_replaced_unasked(run: Run, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "Wrote digits-abcdefgh.html." in run("report", "abc").err
    again = run("report", "abc")
    assert again.code == 2 and "digits-abcdefgh.html is there already" in again.err
    assert '"page": "digits-abcdefgh.html"' in run("report", "abc", "--force", "--json").out


def test_the_page_has_a_name_that_a_shell_takes(run: Run, door: SmallDoor, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    door.end = job_status("abcdefgh", "settled", name="my text (2), $HOME", report=report())
    assert "Wrote my-text-2-HOME-abcdefgh.html." in run("report", "abc").err


def test_a_long_name_is_cut_before_the_word_that_it_is_here() -> None:
    assert plots.clipped("node-eigVD2 (here)") == "node-eigVD2 (here)"
    assert plots.clipped("laptop-of-a-long-name-indeed (here)") == "laptop-of-a-lon… (here)"


def test_nothing_that_a_stranger_says_is_markup(run: Run, door: SmallDoor, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Job, workers, owners, answers, errors, differences, packages: all of them hostile."""
    people = [worker(node, EVIL, owner=EVIL, isolation=EVIL, done=3, disputed=1) for node in (NODE, OTHER, LIAR)]
    disputes = [{"index": 4, "words": EVIL, "outvoted": [LIAR, EVIL], "state": EVIL}]
    door.end = job_status("abcdefgh", "failed", name=EVIL, reason=EVIL, workers=people, failed=1, report=report(gaps=[EVIL], disputes=disputes))
    door.workers_seen = [{**one, "number": n, "cpu_s": 1.0, "price": 1.0, "gflops": 1.0, "busy": [0.5]} for n, one in enumerate(people)]
    clean = door.timeline

    async def timeline(job: str) -> Plain:
        return {**await clean(job), "failures": [[1, EVIL]], "about": [[EVIL, EVIL]]}

    door.timeline = timeline  # type: ignore[method-assign]
    for answer in ({EVIL: EVIL}, [{EVIL: EVIL}], EVIL, b"\x89PNG\r\n\x1a\n" + EVIL.encode()):
        door.found_answer = {"value": canon.encode(answer)}
        text = written(run, tmp_path)
        read = safe(text)
        assert "<script" not in text and "onerror=alert" in " ".join(read.words), "shown, not obeyed"
        assert "\x1b" not in text and "\u202e" not in text
    monkeypatch.chdir(tmp_path)
    assert run("report", "abc").code == 0
    assert not [path for path in tmp_path.glob("*.html") if not re.fullmatch(r"[\w.-]+", path.name)]


def test_an_image_is_shown_as_one_of_ours(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    door.found_answer = {"value": canon.encode(png(2000, 1500))}
    text = written(run, tmp_path)
    assert 'src="data:image/png;base64,' in text and len(text) < 2_000_000
    safe(text)


def test_a_page_has_a_bound(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    """A thousand workers, two thousand units, a hundred disputes: half a megabyte, not more."""
    people = [worker(f"12D3Koo{n}", f"worker {n}", done=1000, agreed=1000, busy_s=50.0) for n in range(1000)]
    door.workers_seen = [{**one, "number": n, "cpu_s": 1.0, "price": 1.0, "gflops": 1.0, "busy": [0.5] * 256} for n, one in enumerate(people)]
    door.end = job_status("abcdefgh", "settled", blocks=1_000_000, settled=1_000_000, workers=people, report=report())
    clean = door.timeline

    async def timeline(job: str) -> Plain:
        spans = [[n % 1000, n, 488, n * 0.01, n * 0.01 + 5, 0] for n in range(2048)]
        return {**await clean(job), "spans": spans, "complete": False, "failures": [[n, f"error {n} " * 30] for n in range(50)]}

    door.timeline = timeline  # type: ignore[method-assign]
    text = written(run, tmp_path)
    assert len(text) < 500_000
    assert "and 960 more workers" in text
    safe(text)


@pytest.mark.parametrize("state", ["waiting", "running", "paused", "cancelled"])
def test_a_job_that_has_not_ended_well_has_a_page_too(run: Run, door: SmallDoor, tmp_path: pathlib.Path, state: str) -> None:
    status = job_status("abcdefgh", state, settled=0, workers=[], blocks=0 if state == "waiting" else 12, elapsed_s=0.0, replicas_done=0)
    door.end, door.found_answer = status, {"value": None, "why": f"the job is {state}"}

    async def timeline(job: str) -> Plain:
        return {"workers": [], "column_s": 0.05, "spans": [], "complete": True, "times": [], "shortest_s": 0.0, "longest_s": 0.0, "failures": []}

    door.timeline = timeline  # type: ignore[method-assign]
    safe(written(run, tmp_path))


@pytest.mark.parametrize("most", [0.0, 1e-6, 0.004, 1.0, 59.0, 3599.0, 86400.0, 6e5, 1e9])
def test_ticks_are_few_and_round(most: float) -> None:
    found = plots.ticks(most)
    assert 1 <= len(found) <= 8 and found[0] == 0.0 and all(one <= most * 1.001 for one in found)
    assert all(len(plots.clock(one)) <= 9 for one in found), [plots.clock(one) for one in found]


@pytest.mark.parametrize("times", [[[0.0, 1e-4, 3]], [[0.1, 0.13, 1]], [[1e-4, 2e-4, 1], [1e6, 2e6, 9]]])
def test_a_histogram_of_any_times_stays_in_its_box(times: list[list[float]]) -> None:
    for x, width in re.findall(r'<rect x="([-\d.]+)" y="[-\d.]+" width="([-\d.]+)"', plots.histogram(times)):
        assert float(x) >= 0 and float(x) + float(width) <= plots.WIDTH
    assert page._middle(times) >= 0
