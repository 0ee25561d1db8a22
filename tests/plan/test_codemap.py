"""The signed list of a job's files: what goes in comes out; whatever else a stranger writes is refused in words."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctorrent import canon
from ctorrent.errors import Malformed
from ctorrent.model.ids import Digest
from ctorrent.plan import codemap
from ctorrent.plan.codemap import CodeMap, Large

D = Digest(bytes(range(32)))
GIB = 1 << 30
ODD = {
    "no map": canon.encode([1]),
    "nothing": b"",
    "a number": canon.encode({"a": 7}),
    "text": canon.encode({"a": "x"}),
    "three": canon.encode({"a": [D, 1, 2]}),
    "a short digest": canon.encode({"a": [D[:31], 1]}),
    "a negative size": canon.encode({"a": [D, -1]}),
    "a float": canon.encode({"a": [D, 1.0]}),
    "lists in lists": canon.encode({"a": [[[]], 1]}),
    "a tail": canon.encode({"a": b"x"}) + b"\0",
    "cut": canon.encode({"a": b"xyz"})[:-1],
}
NAMES = {
    "../x": "not inside", "/x": "not inside", "a/../x": "not inside", "a//x": "not inside", "./x": "not inside", "": "not inside",
    "a\\x": "not inside", "a\nb": "printed", "a\x1b[2J": "printed", "a\0b": "printed", "a\u202eb": "printed", "x" * 256: "not inside",
    "x/" * 600 + "y": "longer than", "x/" * 64 + "y": "more than 63 folders in one another",
}  # fmt: skip


def test_what_goes_in_comes_out() -> None:
    files = {"a.py": b"x", "model/net.bin": Large(D, 5 * GIB), "ü/ß 1.csv": b"", "z" * 255: b"q" * 70_000}
    code = codemap.decode(codemap.encode(CodeMap(files)))
    assert dict(code.files) == files
    assert code.large() == {D: 5 * GIB} and code.large_bytes() == 5 * GIB
    old = {"a.py": b"1", "b/c.bin": b"\0" * 100_000}
    assert dict(codemap.decode(canon.encode(old)).files) == old


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}\.(py|bin)", fullmatch=True), st.binary(max_size=300) | st.integers(0, GIB)))
def test_any_map_of_files(files: dict[str, bytes | int]) -> None:
    content = {path: Large(D[:24] + Digest(what.to_bytes(8, "big")), what) if isinstance(what, int) else what for path, what in files.items()}
    assert dict(codemap.decode(codemap.encode(CodeMap(content))).files) == content  # type: ignore[arg-type]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_refused(data: bytes) -> None:
    try:
        code = codemap.decode(data)
    except Malformed:
        return
    assert codemap.encode(code) == data


@pytest.mark.parametrize("what", ODD)
def test_what_is_no_list_of_files_is_refused(what: str) -> None:
    with pytest.raises(Malformed, match=r"is none|canonical"):
        codemap.decode(ODD[what])


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_elsewhere_are_refused_in_words(name: str) -> None:
    with pytest.raises(Malformed, match=NAMES[name]) as caught:
        codemap.decode(canon.encode({name: b"x"}))
    assert str(caught.value).isprintable()


def test_a_file_is_no_folder() -> None:
    for clash in ({"a": b"", "a/b": b""}, {"a/b/c/d": b"", "a/b": [D, 1], "a/x": b""}):
        with pytest.raises(Malformed, match="which is a folder too"):
            codemap.decode(canon.encode(clash))


def test_folders_are_counted() -> None:
    """Four hundred empty files would be two hundred thousand of them."""
    deep = {f"{number}/" + "d/" * 60 + "f": b"" for number in range(200)}
    with pytest.raises(Malformed, match="in more than 10000 folders"):
        codemap.decode(canon.encode(deep))
    most = codemap.decode(canon.encode({"x/" * 63 + "y": b"", "z": [D, 9000]}))
    assert len(most.files) == 2 and most.laid_bytes() == (63 + 1 + 1) * 4096


def test_one_digest_has_one_size() -> None:
    with pytest.raises(Malformed, match="of another size"):
        codemap.decode(canon.encode({"a": [D, 1], "b": [D, 2]}))


def test_too_many_and_too_large() -> None:
    many = {f"d/{n:06}": b"" for n in range(codemap.FILES_MAX + 1)}
    with pytest.raises(Malformed, match="has 10001 files: at most 10000"):
        codemap.decode(canon.encode(many))
    del many["d/000000"]
    assert len(codemap.decode(canon.encode(many)).files) == codemap.FILES_MAX
    with pytest.raises(Malformed, match="at most 17179869184"):
        codemap.decode(canon.encode({"a": [D, 16 * GIB + 1]}))
    with pytest.raises(Malformed, match="at most 8388608"):
        codemap.decode(bytes(9 << 20))
    assert len(codemap.decode(canon.encode({"a": [D, 16 * GIB], "b": [D, 16 * GIB]})).files) == 2


def test_a_hostile_map_takes_no_more_memory_than_its_size() -> None:
    """Where decoding would build millions of lists."""
    bomb = b"\x81\xa1a" + b"\x92" * (1 << 20)
    tracemalloc.start()
    for hostile in (bomb, b"\xdf\xff\xff\xff\xff" * 1000, b"\x81\xa1a\xc6\xff\xff\xff\xff"):
        with pytest.raises(Malformed):
            codemap.decode(hostile)
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_code_rides_inside_first_then_what_is_small() -> None:
    sizes = {"big.bin": 10 << 20, "net.py": 60_000, "huge.py": 70_000, **{f"d/{n}": 60_000 for n in range(100)}}
    inside = codemap.ride_inside(sizes)
    assert inside[0] == "net.py" and "huge.py" not in inside and "big.bin" not in inside
    assert codemap.INLINE_TOTAL_MAX - 60_000 < sum(sizes[path] for path in inside) <= codemap.INLINE_TOTAL_MAX
