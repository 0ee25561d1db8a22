"""`ctorrent results`: the four formats, files under harmless names, nothing overwritten, nothing half."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy
import pytest
from rich.console import Console

from ctorrent import canon
from ctorrent.cli import pictures, place, preview, show, tables
from ctorrent.cli.columns import FIELDS_MAX, survey
from ctorrent.cli.outputs import Names, safe_part, safe_path
from ctorrent.client import decode_row
from ctorrent.errors import LocalError
from tests.cli.conftest import Ran
from tests.client.small_door import NODE, OTHER, SmallDoor, job_status

pytestmark = pytest.mark.real
Run = Callable[..., Ran]
Plain = dict[str, Any]


def row(index: int, value: Any = None, params: Plain | None = None, **changes: Any) -> Plain:
    """A settled block, as the door gives it."""
    found: Plain = {
        "index": index, "seed": (1 << 64) - 1 - index, "params": canon.encode(params or {}), "state": "settled", "workers": [NODE, OTHER],
        "agreed": 2, "seconds": 0.25, "output": None, "value": canon.encode(value),
    }  # fmt: skip
    return {**found, **changes}


def waiting(index: int) -> Plain:
    found = row(index, state="waiting", workers=[], agreed=0, seconds=0.0)
    del found["value"]
    return found


def failed(index: int, text: str = "Traceback\nValueError: seven") -> Plain:
    found = row(index, state="failed", failure={"kind": "exception", "type": "ValueError", "text": text})
    del found["value"]
    return found


def read(path: pathlib.Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


# -- columns ----------------------------------------------------------------------------------------------------------


def test_columns_have_one_order_and_no_two_the_same_name() -> None:
    rows = [
        row(0, {"loss": 0.5, "beta": 9, "state": "mine", "deep": {"a": {"b": 1}}, "deep.a.b": 2}, {"beta": 1, "seed": 7}),
        failed(1),
        row(2, {"loss": 0.25, "late": True}, {"beta": 2, "seed": 8}),
    ]
    seen = survey(map(decode_row, rows))
    names = [column.name for column in seen.columns()]
    assert names == [
        "index", "beta", "params.seed", "seed", "state", "result.beta", "deep.a.b", "deep.a.b'", "loss", "result.state", "late",
        "error", "workers", "agreed", "seconds",
    ]  # fmt: skip
    cells = seen.cells(decode_row(rows[0]))
    assert (cells["beta"], cells["result.beta"], cells["params.seed"], cells["result.state"]) == (1, 9, 7, "mine")
    assert {cells["deep.a.b"], cells["deep.a.b'"]} == {1, 2}
    assert seen.cells(decode_row(rows[1]))["error"] == "ValueError: seven"


def test_a_worker_cannot_make_a_million_columns() -> None:
    rows = [row(index, {f"k{index}_{n}": n for n in range(400)}) for index in range(5)]
    seen = survey(map(decode_row, rows))
    columns = seen.columns()
    assert len(columns) < FIELDS_MAX
    assert json.loads(tables.cell(seen.cells(decode_row(rows[4]))["value"]))["k4_0"] == 0


def test_what_ends_between_the_two_passes_is_shown_as_the_first_saw_it(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    """The job goes on while its rows are read: no column is missing, no row is half."""
    first = [row(0, {"a": 1}), waiting(1)]
    asked = []

    async def results(job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        asked.append(after)
        rows = first if asked.count(-1) == 1 else [row(0, {"a": 1}), row(1, {"surprise": 2}), row(2, {})]
        return rows[after + 1 :]

    door.results = results  # type: ignore[method-assign]
    door.end = job_status("abcdefgh", "running", settled=1, blocks=2)
    ran = run("results", "abc", "-o", str(tmp_path / "r.csv"))
    assert ran.code == 0, ran.err
    found = read(tmp_path / "r.csv")
    assert [(one["index"], one["state"], one["a"]) for one in found] == [("0", "settled", "1"), ("1", "waiting", "")]
    assert "surprise" not in found[0]
    assert "1 of 2 blocks so far: the job is running" in ran.err


# -- formats ----------------------------------------------------------------------------------------------------------


FORMULAS = ["=1+2", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "＝1"]


def test_no_cell_is_a_formula_or_moves_the_cursor(run: Run, door: SmallDoor) -> None:
    door.rows = [row(index, {"=HYPERLINK(1)": text, "bell": "\x1b[31m\x07red", "number": -5}) for index, text in enumerate(FORMULAS)]
    ran = run("results", "abc", "--format", "csv")
    rows = list(csv.reader(io.StringIO(ran.out)))
    assert "'=HYPERLINK(1)" in rows[0]
    at = rows[0].index("'=HYPERLINK(1)")
    assert all(cells[at][0] in "'�" for cells in rows[1:])
    assert rows[1][rows[0].index("number")] == "-5", "a number is none"
    assert "\x1b" not in ran.out and "\x07" not in ran.out


def test_json_keeps_everything(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    door.rows = [row(0, {"a": "=1", "b": b"\0\xff", "c": float("nan")}), failed(1)]
    assert run("results", "abc", "-o", str(tmp_path / "r.json")).code == 0
    found = json.loads((tmp_path / "r.json").read_text())
    assert found[0]["value"] == {"a": "=1", "b": {"base64": "AP8="}, "c": "NaN"}
    assert found[1]["failure"]["text"].endswith("ValueError: seven")
    assert json.loads(run("results", "abc", "--format", "json").out) == found


def test_npz_needs_no_pickle_and_stacks_what_fits(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    def value(index: int) -> Plain:
        return {
            "grid": numpy.full((2, 3), index, "<f4"), "ragged": [1.0] * (index + 1), "note": "é" * index, "ok": index > 1,
            "mixed": index if index else "none", "../evil": index, "pixels": bytes([index] * 4), "z": numpy.array([1j, index]),
        }  # fmt: skip

    door.rows = [row(index, value(index), {"beta": index / 2}) if index != 3 else failed(index) for index in range(5)]
    assert run("results", "abc", "-o", str(tmp_path / "r.npz")).code == 0
    with numpy.load(tmp_path / "r.npz", allow_pickle=False) as found:
        assert found["grid"].shape == (4, 2, 3) and found["grid"].dtype == "<f4" and found["grid"][3, 0, 0] == 4
        assert found["grid.index"].tolist() == [0, 1, 2, 4]
        assert found["ragged_00002"].tolist() == [1.0, 1.0, 1.0] and "ragged_00003" not in found
        assert found["seed"].dtype == "<u8" and found["seed"][0] == (1 << 64) - 1
        assert found["beta"].dtype == "<f8" and found["note"][2] == "éé"
        assert numpy.isnan(found["ok"][3]) and found["ok"][4] == 1.0
        assert found["mixed"].tolist()[:2] == ["none", "1"]
        assert found["pixels"].shape == (4, 4) and found["z"].dtype == "<c16"
        assert not [name for name in found.files if "/" in name or name.startswith(".")]
        assert found["error"][3] == "ValueError: seven"


def test_parquet_has_types(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    door.rows = [row(0, {"a": 1, "b": b"\1", "c": [1.5, 2.0], "d": {}, "e": "=x"}), failed(1), row(2, {"a": 2, "c": [3.0, 4.0], "e": "y"})]
    assert run("results", "abc", "-o", str(tmp_path / "r.parquet")).code == 0
    found = parquet.read_table(tmp_path / "r.parquet")
    assert found.column("a").to_pylist() == [1, None, 2]
    assert found.column("b").to_pylist() == [b"\1", None, None]
    assert found.column("c").to_pylist() == [[1.5, 2.0], None, [3.0, 4.0]]
    assert found.column("e").to_pylist() == ["=x", None, "y"], "no spreadsheet opens it: nothing is changed"
    assert found.column("seed").to_pylist()[0] == (1 << 64) - 1


def test_a_missing_pyarrow_is_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(LocalError, match="pyarrow") as caught:
        place.choose(tmp_path / "r.parquet", None, False)
    assert "pip install pyarrow" in caught.value.hint


def test_a_format_that_is_no_text_wants_a_file(run: Run) -> None:
    ran = run("results", "abc", "--format", "npz")
    assert ran.code == 2 and "-o rows.npz" in ran.err


# -- files ------------------------------------------------------------------------------------------------------------


def test_files_have_the_names_that_the_job_file_gives(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "out"
    door.rows = [
        row(0, b"movie", output="small/a b.mp4"), row(1, b"other", output="small/c.mp4"), row(2, b"\x89PNG\r\n\x1a\n--"),
        row(3, {"made.txt": b"1", "sub/two.txt": b"2", "n": 5}), failed(4),
    ]  # fmt: skip
    ran = run("results", "abc", "-o", f"{out}/")
    assert ran.code == 0, ran.err
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    table = files.pop("results.csv")
    assert files == {
        "small/a b.mp4": b"movie", "small/c.mp4": b"other", "outputs/00002.png": b"\x89PNG\r\n\x1a\n--", "outputs/00003/made.txt": b"1",
        "outputs/00003/sub/two.txt": b"2", "answer.json": b'{"C": 10, "accuracy": 0.97, "gamma": 0.001}\n',
    }  # fmt: skip
    assert b"small/a b.mp4" in table and b"outputs/00003/made.txt" in table
    assert "Wrote 5 rows and 6 files" in ran.err


HOSTILE = {
    "../../escape": b"1", "/etc/cron.d/x": b"2", ".bashrc": b"3", "-rf": b"4", "con.txt": b"5", "a\x1b[31m": b"6", "..\\win": b"7",
    "Same.txt": b"8", "same.TXT": b"9", "\u202etxt.exe": b"10", "x" * 500: b"11", "": b"12", "𠀀" * 200 + ".png": b"13", "sub": b"14", "sub/x": b"15",
}  # fmt: skip


def test_a_worker_s_names_stay_inside_their_folder(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    door.rows = [row(0, HOSTILE), row(1, b"kept", output="results.csv"), row(2, b"again", output="../up.txt"), row(3, b"twice", output="A/b"), row(4, b"twice2", output="a/B")]
    ran = run("results", "abc", "-o", str(out))
    assert ran.code == 0, ran.err
    files = [path for path in tmp_path.rglob("*") if path.is_file() and tmp_path / "data" not in path.parents]
    assert all(out in path.parents for path in files)
    names = [path.relative_to(out).as_posix() for path in files]
    assert len(names) == len(HOSTILE) + 4 + 2, names
    assert len({name.casefold() for name in names}) == len(names), "none differ by case alone"
    for part in {part for name in names for part in name.split("/")}:
        assert part.isprintable() and part[0] not in ".-" and len(part.encode()) < 255, part
    assert (out / "results.csv").read_text().startswith("index,"), "a block cannot be the table"
    assert sorted(path.read_bytes() for path in files if "00000" in str(path)) == sorted(HOSTILE.values())
    assert "changed a little" in ran.err


@pytest.mark.parametrize("name", ["a.png", "small/clip 1 (x).mp4", "ünïcode.txt", "a_b-c+d=e,f@g"])
def test_good_names_are_kept(name: str) -> None:
    assert safe_path(name) == name


@pytest.mark.parametrize("name", ["NUL .txt", "nul", "COM\u00b9.txt", "LPT\u00b2", "con . x", "NUL" + " " * 60 + "a.txt", "aux.tar.gz"])
def test_devices_of_windows_are_no_files(name: str) -> None:
    assert safe_part(name).startswith("_") and len(safe_part(name)) <= 60


def test_a_name_that_twenty_thousand_want_takes_no_time() -> None:
    names = Names()
    found = [path for index in range(20_000) for _, path, _ in names.of({"index": index, "output": "same.txt", "value": b"x"})]
    assert len(set(found)) == 20_000 and found[1] == "same~2.txt"


# -- nothing overwritten, nothing half --------------------------------------------------------------------------------


def test_nothing_is_overwritten_unasked(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "r.csv"
    target.write_text("mine")
    ran = run("results", "abc", "-o", str(target))
    assert ran.code == 2 and "r.csv is there already" in ran.err and target.read_text() == "mine"
    assert run("results", "abc", "-o", str(target), "--force").code == 0
    assert target.read_text() != "mine"
    out = tmp_path / "out"
    (out / "small").mkdir(parents=True)
    (out / "small" / "b").write_text("mine")
    door.rows = [row(0, b"1", output="small/a"), row(1, b"2", output="small/b")]
    ran = run("results", "abc", "-o", str(out))
    assert ran.code == 2 and "small/b is there already, and nothing was written" in ran.err
    assert [path.name for path in out.rglob("*") if path.is_file()] == ["b"]
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "elsewhere.csv")
    assert run("results", "abc", "-o", str(link)).code == 2, "a link that leads nowhere is there as well"
    assert run("results", "abc", "-o", str(link), "--force").code == 0
    assert not link.is_symlink() and not (tmp_path / "elsewhere.csv").exists(), "replaced, not followed"


def test_what_comes_there_meanwhile_is_kept(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "r.csv"
    with pytest.raises(LocalError, match="there already"), place.writing(target, False) as file:
        file.write(b"ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs" and list(tmp_path.iterdir()) == [target]


def test_an_error_or_ctrl_c_leaves_no_half_file(tmp_path: pathlib.Path) -> None:
    for error in (KeyboardInterrupt, ZeroDivisionError):
        with pytest.raises(error), place.writing(tmp_path / "r.csv", False) as file:
            file.write(b"half")
            raise error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("no rights to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["r.csv", "r.json", "r.npz", "r.parquet", "out/"])
def test_a_full_disk_is_said_and_leaves_nothing(run: Run, door: SmallDoor, small_disk: pathlib.Path, name: str) -> None:
    noise = os.urandom(600_000)
    door.rows = [row(index, {"text": noise.hex()[index * 60_000 :][:60_000], "raw": noise[index * 60_000 :][:60_000]}) for index in range(10)]
    ran = run("results", "abc", "-o", f"{small_disk}/{name}")
    assert ran.code == 2, ran.err
    assert "The disk is full" in ran.err and "Traceback" not in ran.err
    left = [path for path in small_disk.rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith((".ctorrent", "r.", "results."))], left
    assert all(path.stat().st_size == 60_000 for path in left if path.suffix != ".json"), "files of blocks are whole or not there"


def test_rows_are_not_held_in_memory(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    """60 MB of results; their decoded rows would be more."""
    big = canon.encode({"text": "x" * 100_000, "n": 1})

    async def results(job: str, after: int = -1, limit: int = 1000) -> list[Plain]:
        return [{**row(index), "value": big} for index in range(after + 1, min(600, after + 1 + min(limit, 50)))]

    door.results = results  # type: ignore[method-assign]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert run("results", "abc", "-o", str(tmp_path / "r.csv")).code == 0
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert (tmp_path / "r.csv").stat().st_size > 60_000_000
    assert grown < 40, f"{grown:.0f} MiB more"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["-o", "{t}/none/r.csv"], "There is no folder"), (["-o", "{t}/r.txt"], "neither a folder nor"), (["-o", "{t}/file.csv/x/"], "is a file, not a folder"),
        (["-o", "{t}/r.csv", "--format", "json"], "--format says json"), (["-o", "{t}/file"], "is a file"),
        (["-o", "{t}/" + "a" * 300 + ".csv"], "too long a name"), (["-o", ""], "-o wants a folder or a file"), (["-o", "-"], "-o wants a folder or a file"), (["-o", "{t}/pipe.csv", "--force"], "a folder or a device"),
    ],
)  # fmt: skip
def test_wrong_places_are_refused_in_a_sentence(run: Run, tmp_path: pathlib.Path, words: list[str], says: str) -> None:
    (tmp_path / "file.csv").write_text("")
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "pipe.csv")
    ran = run("results", "abc", *(word.format(t=tmp_path) for word in words))
    assert ran.code == 2 and says in ran.err and "bug of ctorrent" not in ran.err, ran.err


def test_a_reader_that_leaves_early_is_no_error(door: SmallDoor, data: pathlib.Path) -> None:
    door.rows = [row(index, "x" * 1000) for index in range(2000)]
    command = f"{sys.executable} -m ctorrent results abc --format csv | head -n 2"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0 and ran.stderr == "" and len(ran.stdout.splitlines()) == 2


def test_a_place_where_no_file_can_be_made_is_refused_first(run: Run, door: SmallDoor, tmp_path: pathlib.Path) -> None:
    """Permissions allow root to write into /proc: only the attempt tells."""
    (tmp_path / "job.yaml").write_text("python: search.py:score\n")
    for output in ("/proc/x.csv", "/proc/x/"):
        ran = run("submit", str(tmp_path / "job.yaml"), "-o", output)
        assert ran.code == 2 and "Nothing may be written into /proc" in ran.err, ran.err
    assert not door.asked and not door.rehearsed


def test_parquet_without_a_file_says_that_first(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    ran = run("results", "abc", "--format", "parquet")
    assert ran.code == 2 and ran.err.index("-o rows.parquet") < ran.err.index("pyarrow")


# -- on the screen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_preview_fits_the_terminal(monkeypatch: pytest.MonkeyPatch, run: Run, door: SmallDoor, width: int) -> None:
    value = {"peak": 13.4, "words": "long " * 30, "\x1b[2J": "\x07", **{f"f{n}": n / 7 for n in range(12)}}
    door.rows = [row(index, {**value, "peak": index * 1.5}, {"beta": 0.1, "gamma": index}) for index in range(30)]
    door.end = job_status("abcdefgh", "settled", blocks=30, settled=30)
    monkeypatch.setattr(show, "PIPE_COLUMNS", width)
    told = run("results", "abc").out
    assert max(map(len, told.splitlines())) <= width
    assert "… and 10 more" in told and "\x1b" not in told and "\x07" not in told
    assert "peak" in told and "greatest" in told
    assert "No room for" in told


def test_the_summary_is_of_what_blocks_returned(run: Run, door: SmallDoor) -> None:
    door.rows = [row(index, {"peak": index * 1.5, "more": numpy.array([0.5, index])}, {"beta": index / 10, "repeat": index}) for index in range(9)]
    door.end = job_status("abcdefgh", "settled", blocks=9, settled=9)
    told = run("results", "abc").out
    assert "[0.5, 8]" in told, "an array of two is shown, not its size"
    summary = told[told.index("over all rows") :]
    assert "peak" in summary and "beta" not in summary and "repeat" not in summary


def test_a_job_that_runs_says_how_far_it_is(run: Run, door: SmallDoor) -> None:
    door.rows = [waiting(index) if index > 2 else row(index, index) for index in range(12)]
    door.end = job_status("abcdefgh", "running", settled=3, waiting=9)
    assert "3 of 12 blocks so far" in run("results", "abc").out
    door.rows = [waiting(index) for index in range(12)]
    door.end = job_status("abcdefgh", "waiting", settled=0, waiting=12)
    assert "No block has ended yet" in run("results", "abc").out


def png(width: int, height: int) -> bytes:
    from PIL import Image

    made = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(made, "PNG")
    return made.getvalue()


def test_pictures_are_pictures_in_a_terminal_and_words_elsewhere() -> None:
    value, wide = png(300, 100), numpy.zeros((20, 60, 3), "u1")
    for image in (value, wide, b"P6 4 2 255\n" + bytes(24)):
        assert pictures.is_picture(image)
        file = io.StringIO()
        preview.print_pictures(Console(file=file, force_terminal=True, color_system="truecolor", width=80), [{"index": 7, "value": image}])
        assert "▀" in file.getvalue() and "block 7" in file.getvalue()
        assert max(map(len, Console(width=200, file=io.StringIO()).render_str(file.getvalue()).plain.splitlines())) < 2000
    file = io.StringIO()
    preview.print_pictures(Console(file=file, width=80), [{"index": 7, "value": value}])
    assert "▀" not in file.getvalue() and "300 × 100" in file.getvalue()


@pytest.mark.parametrize("cut", [20, 60, 200])
def test_broken_and_huge_pictures_are_left_out(cut: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor")
    huge = bytearray(png(8, 8))
    huge[16:24] = (60_000).to_bytes(4, "big") * 2
    for value in (png(300, 200)[:cut], bytes(huge), b"P6 99999 99999 255\n", b"\xff\xd8\xff" + b"0" * 60):
        assert len(preview.picture(console, value, "x", 20, 5)) in (0, 1)
