"""A function made ready to travel: opened here as a sandbox opens it, and refused in words when it cannot travel."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import numpy
import pytest

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.library import function, imports, inside, opener, table, values
from ctorrent.library.function import pack
from ctorrent.library.items import calls

OPEN = """
import sys
sys.path.insert(0, sys.argv[1])
class Files:
    def get_data(self, path):
        with open(sys.argv[1] + "/" + path, "rb") as file:
            return file.read()
import importlib.util
spec = importlib.util.spec_from_file_location("ctorrent_call", sys.argv[1] + "/ctorrent_call.py")
module = importlib.util.module_from_spec(spec)
module.__loader__ = Files()
spec.loader.exec_module(module)
import json
params = json.loads(sys.argv[2])
print(json.dumps([module.call(params, {}), sorted(m for m in sys.modules if m.startswith("cloudpickle"))]))
"""


def opened(packed: function.Packed, folder: Path, params: dict[str, Any]) -> tuple[Any, list[str]]:
    """Its call in another interpreter that has nothing of ours. -> the result as data, and what of cloudpickle was loaded."""
    for path, content in packed.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    done = subprocess.run([sys.executable, "-I", "-c", OPEN, str(folder), json.dumps(params)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result, loaded = json.loads(done.stdout)
    return result, loaded


def outer(k: int) -> Any:
    def inner(x: int, y: int = 2) -> float:
        return math.sqrt(x) * y + k

    return inner


class Shape:
    def __init__(self, side: float) -> None:
        self.side = side

    def area(self) -> float:
        return self.side**2


def area_of(side: float) -> float:
    return Shape(side).area()


def test_a_closure_travels_by_value_and_opens_with_the_few_functions_that_it_needs(tmp_path: Path) -> None:
    packed = pack(outer(1))
    result, loaded = opened(packed, tmp_path, {"x": 9})
    assert result == 7.0
    assert loaded == ["cloudpickle", "cloudpickle.cloudpickle"], "the whole of it was not imported"
    assert packed.python == f"3.{sys.version_info.minor}" and packed.packages == ()


def test_classes_of_modules_that_are_not_installed_travel_too(tmp_path: Path) -> None:
    result, loaded = opened(pack(area_of), tmp_path, {"side": 3})
    assert result == 9
    assert "cloudpickle.whole" in loaded


def test_every_first_function_is_cut_out_of_the_installed_cloudpickle() -> None:
    text = opener.carried()["cloudpickle/cloudpickle.py"].decode()
    assert all(f"{word} {name}" in text for name in opener._FIRST for word in ("class" if "value" in name else "def",))
    assert "_make_skeleton_class" not in text


def test_packages_are_found_by_what_is_used_and_imported() -> None:
    def uses() -> Any:
        from sklearn.svm import SVC

        return SVC, numpy.zeros(3)

    assert pack(uses).packages == ("numpy", "scikit-learn")
    assert pack(uses, packages=["numpy"]).packages == ("numpy",)


def test_a_local_module_imported_in_the_body_travels_as_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "beside_a.py").write_text("import beside_b\ndef twice(x):\n    return beside_b.K * x\n")
    (tmp_path / "beside_b.py").write_text("K = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    def uses(x: int) -> int:
        import beside_a

        return int(beside_a.twice(x))

    packed = pack(uses)
    assert {"beside_a.py", "beside_b.py"} <= set(packed.files)
    assert opened(packed, tmp_path / "there", {"x": 4})[0] == 8


def test_what_cannot_travel_is_named() -> None:
    lock = threading.Lock()
    with pytest.raises(LocalError, match="uses lock, a lock, which cannot travel"):
        pack(lambda x: (lock, x))
    big = numpy.zeros(2_000_000)
    with pytest.raises(LocalError, match=r"takes big along, which has 15 MiB.*shared=\{'big': big\}"):
        pack(lambda x: big[x])
    with pytest.raises(LocalError, match="no parameter of that name"):
        pack(lambda x: x, shared={"data": 1})

    async def later() -> None: ...

    with pytest.raises(LocalError, match="is async"):
        pack(later)
    with pytest.raises(LocalError, match="is no function"):
        pack(3)  # type: ignore[arg-type]
    with pytest.raises(LocalError, match="is a generator"):
        pack(lambda x: (yield x))  # type: ignore[arg-type]

    def homesick() -> Any:
        import ctorrent

        return ctorrent

    with pytest.raises(LocalError, match="uses ctorrent itself"):
        pack(homesick)


def test_arguments_have_names_where_they_can_and_are_pickles_where_data_would_change_them() -> None:
    packed = pack(outer(1))
    assert canon.decode(packed.arguments((3,))[0]) == {"x": 3}
    assert canon.decode(packed.arguments((3,), {"y": 4})[0]) == {"x": 3, "y": 4}
    params, payload = packed.arguments(((1, 2),))
    assert set(canon.decode(params)) == {inside.PICKLED} and not payload
    assert inside.arguments(canon.decode(params), {}) == (((1, 2),), {})
    params, payload = packed.arguments(("x" * 100_000,))
    assert canon.decode(params) == {} and inside.arguments({}, {inside.PAYLOAD: payload}) == (("x" * 100_000,), {})
    with pytest.raises(LocalError, match="cannot be called so: too many positional arguments"):
        packed.arguments((1, 2, 3))
    assert canon.decode(pack(max).arguments((1, 2))[0]) == {inside.POSITIONS: [1, 2]}


@pytest.mark.parametrize("row", [{"#": 1, "name": "x"}, {"#": b"\x80"}, {"*": [1, 2]}, {"*": 1, "#": 2}])
def test_a_table_s_columns_may_have_any_name(row: dict[str, Any]) -> None:
    params, _ = pack(lambda **words: 0).arguments((), row)
    assert inside.arguments(canon.decode(params), {}) == ((), row)


# Items ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "item", "star", "expected"),
    [
        (lambda beta, n: 0, {"beta": 1, "n": 2}, None, ((), {"beta": 1, "n": 2})),
        (lambda beta, n=3: 0, {"beta": 1}, None, ((), {"beta": 1})),
        (lambda settings: 0, {"beta": 1}, None, (({"beta": 1},), {})),
        (lambda settings: 0, {"settings": 1}, None, ((), {"settings": 1})),
        (lambda settings: 0, {"settings": 1}, False, (({"settings": 1},), {})),
        (lambda **words: 0, {"a": 1}, None, ((), {"a": 1})),
        (lambda a, b: 0, (1, 2), None, ((1, 2), {})),
        (lambda pair: 0, (1, 2), None, (((1, 2),), {})),
        (lambda a, b=1: 0, (1, 2), None, (((1, 2),), {})),
        (lambda a, b=1: 0, (1, 2), True, ((1, 2), {})),
        (lambda x, seed: 0, (1, 2), None, (((1, 2),), {})),
        (lambda x: 0, 5, True, ((5,), {})),
        (abs, -3, None, ((-3,), {})),
    ],
)
def test_an_item_becomes_the_arguments_of_a_call(function: Any, item: Any, star: bool | None, expected: Any) -> None:
    assert list(calls(pack(function), [item], star)) == [expected]


# Results -------------------------------------------------------------------------------------------------------------


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Fit:
    loss: float
    steps: tuple[int, ...]


class Colour(enum.IntEnum):
    RED = 3


def travelled(value: Any, *encoders: Any) -> Any:
    """As a block's value goes: dressed there, canonical on the way, read here."""
    return values.read_value(canon.encode(inside.dressed(value, encoders)))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 1, -1, 2**63, 2**64, -(2**70), 1.5, "é", b"\0", [1, [2]], {"a": {"b": 1}}, (1, (2, "x")), {1: "a", (2, 3): "b"}, {1, 2, 3},
        frozenset({"a"}), 1 + 2j, datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), datetime.date(2026, 1, 2), datetime.time(1, 2),
        datetime.timedelta(1, 2, 3), decimal.Decimal("1.10"), fractions.Fraction(1, 3), {"__type__": "tuple", "value": [1]}, [],
    ],
)  # fmt: skip
def test_values_of_the_standard_library_come_back_as_they_were(value: Any) -> None:
    back = travelled(value)
    assert back == value and type(back) is type(value)


def test_records_become_dicts_and_arrays_stay_arrays() -> None:
    assert travelled(Point(1, 2)) == {"x": 1, "y": 2}
    assert travelled(Fit(0.5, (1, 2))) == {"loss": 0.5, "steps": (1, 2)}
    assert travelled(Colour.RED) == 3
    assert travelled({"w": numpy.arange(6.0).reshape(2, 3)})["w"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert travelled(numpy.float64(2.5)) == 2.5


def test_frames_come_back_as_frames() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=["p", "q"])
    back = travelled(frame)
    assert back.equals(frame) and list(back.index) == ["p", "q"]
    assert travelled(frame["a"]).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"__type__": "DataFrame", "value": {"columns": numpy.empty((1 << 20, 0)), "titles": [], "index": []}}, "ndarray where a list belongs"),
        ({"__type__": "DataFrame", "value": {"columns": [[1]], "titles": numpy.empty((1 << 20, 0)), "index": []}}, "ndarray where a list belongs"),
        ({"__type__": "set", "value": [{"__type__": "int", "value": hex(n * ((1 << 61) - 1))} for n in range(2000)]}, "made to collide"),
        ({"__type__": "dict", "value": [[{"__type__": "int", "value": hex(n * ((1 << 61) - 1))}, 0] for n in range(2000)]}, "made to collide"),
    ],
)
def test_a_small_result_that_would_take_hours_to_read_is_refused(value: Any, why: str) -> None:
    with pytest.raises(LocalError, match=why):
        values.read_value(canon.encode(value))


def test_a_table_that_would_be_nearly_empty_is_refused_with_what_to_return() -> None:
    rows = [{"index": at, "params": b"", "result": {f"file {at}.txt": at, "n": at}} for at in range(4000)]
    with pytest.raises(LocalError, match="4,000 results have 4,001 different fields") as refused:
        table.columns_of(rows)
    assert "value" in refused.value.hint
    mixed = {"a": {"b": {1: 2}, "c": {"d": 3}}}
    assert table.columns_of([{"index": 0, "params": b"", "result": mixed}])[1] == {"a.b": [{1: 2}], "a.c.d": [3]}
    indexes, columns = table.columns_of(rows[:100])
    assert len(indexes) == 100 and columns["file 7.txt"][:9] == [None] * 7 + [7, None]


def test_a_type_of_ones_own_is_refused_by_name_until_it_is_registered() -> None:
    with pytest.raises(TypeError, match=r"the result has a Shape .*ctorrent\.register\(Shape, encode, decode\)"):
        inside.dressed({"s": Shape(2.0)})
    values.register(Shape, lambda shape: [shape.side], lambda data: Shape(*data))
    try:
        assert travelled([Shape(2.0)], *values.encoders())[0].area() == 4
        with pytest.raises(LocalError, match="is called tuple already"):
            values.register(Shape, list, Shape, name="tuple")
    finally:
        del values._registered["Shape"]
    with pytest.raises(LocalError, match="no type of that name is registered"):
        values.undressed({"__type__": "Shape", "value": []})


def test_a_module_is_the_standard_librarys_installed_or_ones_own() -> None:
    assert imports.is_standard("os.path") and not imports.is_local("os.path")
    assert imports.is_local(__name__) and not imports.is_local("numpy") and not imports.is_local("numpy.linalg")


def test_packages_of_arguments_are_found_too() -> None:
    modules: set[str] = set()
    pack(outer(1)).arguments((numpy.float64(3),), modules=modules)
    assert imports.packages_of(modules) == ("numpy",)


def test_a_module_that_is_not_installed_is_told_unless_the_code_can_do_without() -> None:
    def needs(x: int) -> Any:
        import nonesuch  # type: ignore[import-not-found]

        return nonesuch.f(x)

    def may_use(x: int) -> Any:
        try:
            import nonesuch  # type: ignore[import-not-found]
        except ImportError:
            return x
        return nonesuch.f(x)

    with pytest.raises(LocalError, match=r"imports nonesuch, which is not installed here.*packages=\["):
        pack(needs)
    assert pack(needs, packages=["nonesuch"]).packages == ("nonesuch",)
    assert pack(may_use).packages == ()


def test_a_shared_value_is_named_as_a_parameter() -> None:
    with pytest.raises(LocalError, match="no name of a parameter"):
        pack(lambda item, **words: 1, shared={"../x": 1})
