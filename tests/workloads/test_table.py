"""CSV files as people have them, and as nobody should: what is wrong is said with its line."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from ctorrent.errors import LocalError
from ctorrent.workloads.softmax import table


def parsed(text: str | bytes) -> table.Table:
    return table.parse(io.BytesIO(text.encode() if isinstance(text, str) else text), "t.csv")


@pytest.mark.parametrize(
    "text",
    [
        "a,b,kind\n1,2,x\n3,4,y\n5,6,x\n7,8,y\n",
        "a,b,kind\r\n1,2,x\r\n3,4,y\r\n5,6,x\r\n7,8,y",
        "\ufeffa,b,kind\n\n1, 2 ,x\n3,4,y\n   \n5,6,x\n7,8,y\n\n",
        "a;b;kind\n1;2;x\n3;4;y\n5;6;x\n7;8;y\n",
        'a\tb\tkind\n1\t"2"\tx\n3\t4\ty\n5\t6\tx\n7\t8\ty\n',
    ],
)
def test_the_same_table_in_several_forms(text: str) -> None:
    found = parsed(text)
    assert (found.features, found.classes, found.rows) == (("a", "b"), ("x", "y"), 4)
    assert list(found.values) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(found.labels) == [0, 1, 0, 1]
    assert list(found.row(2)) == [5, 6]


def test_without_a_header_columns_are_numbered() -> None:
    found = parsed("1,2,0\n3,4,1\n5,6,0\n7,8,1\n")
    assert found.features == ("column 1", "column 2")
    assert found.classes == ("0", "1")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "t.csv has no rows"),
        ("a,b,kind\n", "t.csv has no rows"),
        ("a,kind\n1,x\n2,x\n", "every row is 'x', one class"),
        ("a,kind\n1,x\n2,y\n3,x\n", "only one row is 'y'"),
        ("kind\nx\ny\n", "t.csv:1: has one column"),
        ("a,b,kind\n1,2,x\n3,y\n", "t.csv:3: has 2 columns, the first row has 3"),
        ("a,b,kind\n1,2,x\n1,2,3,x\n", "t.csv:3: has 4 columns"),
        ("a,b,kind\n1,2,x\n\n1,,x\n", "t.csv:4: b: is empty"),
        ("a,b,kind\n1,two,x\n", "t.csv:2: b: 'two' is no number"),
        ("a,b,kind\n1,nan,x\n", "t.csv:2: b: nan is no number to compute with"),
        ("a,b,kind\n1,1e999,x\n", "t.csv:2: b: 1e999 is no number"),
        ("a,b,kind\n1,2,\n", "t.csv:2: the label is empty"),
        ("1,oops,x\n1,2,x\n", "t.csv:1: is neither a header nor numbers: 'oops'"),
        (f"a,kind\n1,{'x' * 300}\n", "the label has 300 characters"),
        ("a,kind\n" + "".join(f"{n},{n}.5\n" for n in range(1500)), "t.csv:1002: the last column has more than 1,000 different labels"),
        (b"a,kind\n1,x\n2,\xff\xfe\n", "not UTF-8"),
        ("a,kind\n1,x\n".encode("utf-16"), "t.csv is UTF-16 text"),
        (b"a,kind\n1,x\0y\n", "t.csv:2: the line holds a zero byte"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "not UTF-8"),
        ('a,kind\n1,"' + "x" * 200_000 + '"\n', "field larger than field limit"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str | bytes, says: str) -> None:
    with pytest.raises(LocalError) as caught:
        parsed(text)
    assert says in caught.value.message
    assert caught.value.hint


def test_an_endless_line_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LINE_CHARS_MAX", 1000)
    with pytest.raises(LocalError, match="the line has more than"):
        parsed("1," * 100_000)


def test_too_many_numbers_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "CELLS_MAX", 10)
    with pytest.raises(LocalError, match=r"t\.csv:6: is beyond the limit of 10 numbers"):
        parsed("1,2,x\n" * 100)


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="There is no file"):
        table.read_table(tmp_path)
    with pytest.raises(LocalError, match="There is no file"):
        table.read_table(tmp_path / "nothing.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(LocalError, match="There is no file"):
        table.read_table(tmp_path / "pipe.csv")
    with (tmp_path / "huge.csv").open("wb") as file:
        file.truncate(table.FILE_BYTES_MAX + 1)
    with pytest.raises(LocalError, match="has 1024 MB; the limit is 1024"):
        table.read_table(tmp_path / "huge.csv")
