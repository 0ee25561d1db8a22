"""One suite for every sandbox: the jail, and Docker where there is one."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
import trio

from ctorrent import canon
from ctorrent.model.job import Limits, Needs
from ctorrent.model.result import FailureKind
from ctorrent.ports import BlockInput, Cell
from tests.sandbox.cells import LEVELS, QUICK, block, cell_of, in_cell

pytestmark = [pytest.mark.real, pytest.mark.parametrize("level", LEVELS)]


def test_a_block_gets_by_name_only_what_it_asks_for(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        one, two = await cell.run([block(5, C=0.5, gamma=2), block(6, C=0.25, gamma=3)])
        assert one.failure is None and one.value is not None
        assert canon.decode(one.value) == {"C": 0.5, "seed": 5 + (1 << 40), "index": 5, "more": {"gamma": 2}}
        assert two.value is not None and canon.decode(two.value)["C"] == 0.25

    in_cell(level, tmp_path, "def block(C, seed, index, unused=3, **more):\n    return {'C': C, 'seed': seed, 'index': index, 'more': more}\n", body)


def test_a_missing_name_is_said_in_words(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(0, gamma=1)])
        assert only.failure is not None and only.failure.kind is FailureKind.EXCEPTION
        assert "asks for 'C', which is none of: gamma, index, inputs, params, seed" in only.failure.text

    in_cell(level, tmp_path, "def block(C):\n    return C\n", body)


def test_inputs_arrive_and_large_values_return(level: str, tmp_path: Path) -> None:
    data = hashlib.sha256(b"x").digest() * 32768
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "data"
    path.write_bytes(data)

    async def body(cell: Cell) -> None:
        for unit in ([0], [0, 1, 2, 3]):
            outcomes = await cell.run([block(i, (("data", str(path)), ("again", str(path)))) for i in unit])
            assert [canon.decode(o.value or b"") for o in outcomes] == [data for _ in unit]

    source = "def block(inputs):\n    assert inputs['data'] == inputs['again']\n    return inputs['data']\n"
    in_cell(level, tmp_path, source, body, limits=Limits(output_bytes=2 << 20, block_s=20))


def test_the_same_block_gives_the_same_numbers_in_any_unit(level: str, tmp_path: Path) -> None:
    source = """
import os, sys, time
def block(index):
    import random, locale
    return [random.random(), hash("text"), sorted({"a", "b", "c"}, key=hash), time.tzname[0], sys.argv, os.getcwd(),
            sorted(k for k in os.environ if k not in ("LC_CTYPE",))]
"""

    async def body(cell: Cell) -> None:
        together = await cell.run([block(i) for i in range(4)])
        alone = [(await cell.run([block(i)]))[0] for i in range(4)]
        assert [o.value for o in together] == [o.value for o in alone]
        values = [canon.decode(o.value or b"") for o in together]
        assert len({value[0] for value in values}) == 4
        assert values[0][3:5] == ["UTC", ["block"]]
        assert values[0][5] == "/job" or level == "jail without walls"
        assert not {"USER", "LOGNAME", "VIRTUAL_ENV", "SSH_CONNECTION"} & set(values[0][6])

    in_cell(level, tmp_path, source, body)


def test_an_exception_brings_the_programs_own_traceback(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        good, bad, after = await cell.run([block(i) for i in range(3)])
        assert good.value == after.value == canon.encode(1)
        assert bad.failure is not None
        assert (bad.failure.kind, bad.failure.type) == (FailureKind.EXCEPTION, "ZeroDivisionError")
        assert 'File "program.py", line 4, in helper' in bad.failure.text and "return 1 / (index - 1)" in bad.failure.text
        assert "ctinside" not in bad.failure.text and "child.py" not in bad.failure.text

    source = "def block(index):\n    return 1 if helper(index) else 1\ndef helper(index):\n    return 1 / (index - 1)\n"
    in_cell(level, tmp_path, source, body)


def test_code_may_have_many_files(level: str, tmp_path: Path) -> None:
    files = {
        "main.py": b"from tools.numbers import twice\nimport pkgutil\ndef block(index):\n    return [twice(index), pkgutil.get_data('tools', 'word.txt')]\n",
        "tools/__init__.py": b"",
        "tools/numbers.py": b"def twice(x):\n    return 2 * x\n",
        "tools/word.txt": b"hello",
    }

    async def body(cell: Cell) -> None:
        (only,) = await cell.run([block(21)])
        assert only.failure is None and canon.decode(only.value or b"") == [42, b"hello"]

    in_cell(level, tmp_path, files, body, entry="main.py:block")


def test_a_broken_file_fails_every_block_alike(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        outcomes = await cell.run([block(i) for i in range(3)])
        assert [(o.failure.kind, o.failure.type) for o in outcomes if o.failure] == [(FailureKind.EXCEPTION, "SyntaxError")] * 3

    in_cell(level, tmp_path, "def block(:\n", body)


def test_output_comes_back_capped_and_as_it_appears(level: str, tmp_path: Path) -> None:
    source = """
import os, sys, time
def block(index):
    print("block", index, flush=True)
    os.write(2, b"from below")
    if index == 1:
        for _ in range(100000): print("flood" * 20)
    while index == 2 and time.perf_counter() < 0: pass
"""
    seen: list[tuple[int, bytes]] = []

    async def body(cell: Cell) -> None:
        outcomes = await cell.run([block(i) for i in range(3)], lambda index, data: seen.append((index, data)))
        assert all(o.failure is None for o in outcomes)
        assert outcomes[0].log == b"block 0\nfrom below"
        assert outcomes[1].log.startswith(b"block 1\n") and len(outcomes[1].log) == QUICK.log_bytes
        assert outcomes[2].log == b"block 2\nfrom below"
        assert b"".join(data for index, data in seen if index == 0) == outcomes[0].log

    in_cell(level, tmp_path, source, body)


def test_logs_of_a_running_block_arrive_before_it_ends(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        with trio.move_on_after(20) as scope:
            await cell.run([block(0)], lambda *_: scope.cancel())
        assert scope.cancelled_caught and trio.current_time() < scope.deadline
        (after,) = await cell.run([block(1)])
        assert after.value == canon.encode(1)

    source = "def block(index):\n    print('here')\n    while index == 0: print('and here')\n    return index\n"
    in_cell(level, tmp_path, source, body, limits=Limits(block_s=60))


def test_reduce_gets_all_values(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        total = await cell.reduce("program.py:total", [canon.encode({"n": n}) for n in range(100)])
        assert total.failure is None and canon.decode(total.value or b"") == 4950
        wrong = await cell.reduce("program.py:block", [canon.encode(1)])
        assert wrong.failure is not None and wrong.failure.type == "RuntimeError"

    source = "def block(index):\n    raise RuntimeError\ndef total(values):\n    return sum(v['n'] for v in values)\n"
    in_cell(level, tmp_path, source, body)


JUDGE = """
import random
def right(output, index, n, seed, draw, inputs):
    assert not any(name.startswith(chr(0)) for name in inputs)
    if output == "wavers":
        return random.random() < 0.5
    if output == "hangs":
        while True: pass
    return output == [index, n, seed, draw, random.randrange(1 << 30)] or f"{output} is not of block {index}"
def same(one, other):
    return abs(one["x"] - other["x"]) < 0.5
"""


def test_functions_that_check_and_compare(level: str, tmp_path: Path) -> None:
    """They get outputs, and generators that start from a number nobody else knew; what ends one case ends no other."""

    def case(index: int, draw: int, *outputs: object) -> BlockInput:
        values = tuple(canon.encode(value) for value in (*outputs, draw))
        return BlockInput(index, 7, canon.encode({"n": 5}), values=values)

    async def body(cell: Cell) -> None:
        drawn = random.Random(99).randrange(1 << 30)
        good = [3, 5, 7, 99, drawn]
        cases = [case(3, 99, good), case(3, 98, good), case(4, 99, "hangs"), case(4, 99, {"x": 1}), case(3, 99, good)]
        found = await cell.check("judge.py:right", cases)
        assert [outcome.value and canon.decode(outcome.value) for outcome in found] == [
            True, f"{good} is not of block 3", None, "{'x': 1} is not of block 4", True,
        ]  # fmt: skip
        assert found[2].failure is not None and found[2].failure.kind is FailureKind.TIME
        pairs = [case(0, 1, {"x": 1.0}, {"x": 1.2}), case(0, 1, {"x": 1.0}, {"x": 2.2}), case(0, 1, {"x": 1.0}, 5)]
        same, other, broken = await cell.compare("judge.py:same", pairs)
        assert (same.value, other.value) == (canon.encode(True), canon.encode(False))
        assert broken.failure is not None and broken.failure.type == "TypeError"
        assert 'File "judge.py"' in broken.failure.text

    in_cell(level, tmp_path, {"program.py": b"", "judge.py": JUDGE.encode()}, body, limits=Limits(block_s=3))


def test_programs_may_import_the_check_of_products_and_nothing_else_of_ours(level: str, tmp_path: Path) -> None:
    """By the name it has outside; a job that brings a package of that name has its own."""
    source = b"""
def block(index):
    from ctorrent.verify.freivalds import PROBES, product_is_right
    try:
        import ctorrent.canon
    except ImportError as error:
        return [PROBES, callable(product_is_right), str(error)]
"""

    async def offered(cell: Cell) -> None:
        for unit in ([block(0)], [block(0), block(1)]):
            outcomes = await cell.run(unit)
            assert [outcome.value and canon.decode(outcome.value) for outcome in outcomes] == [[3, True, "No module named 'ctorrent.canon'"]] * len(unit)

    in_cell(level, tmp_path, {"program.py": source}, offered)

    async def own(cell: Cell) -> None:
        (outcome,) = await cell.run([block(0)])
        assert outcome.value == canon.encode("own")

    files = {"program.py": b"def block(index):\n    import ctorrent.mine\n    return ctorrent.mine.WORD\n", "ctorrent/__init__.py": b"", "ctorrent/mine.py": b"WORD = 'own'\n"}
    in_cell(level, tmp_path, files, own)


def test_units_side_by_side(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        values: dict[int, object] = {}

        async def one(number: int) -> None:
            outcomes = await cell.run([block(number * 10 + i) for i in range(10)])
            values[number] = [canon.decode(o.value or b"") for o in outcomes]

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(one, number)
        assert values == {n: list(range(n * 10, n * 10 + 10)) for n in range(8)}

    in_cell(level, tmp_path, "def block(index):\n    return index\n", body, slots=2)


def test_a_cancelled_unit_frees_its_place(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        for _ in range(3):
            with trio.move_on_after(0.3) as scope:
                await cell.run([block(0)])
            assert scope.cancelled_caught
        (after,) = await cell.run([block(1)])
        assert after.value == canon.encode(1)

    in_cell(level, tmp_path, "def block(index):\n    while index == 0: pass\n    return index\n", body)


def test_an_empty_unit_and_many_empty_blocks(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        assert await cell.run([]) == []
        outcomes = await cell.run([BlockInput(i, i, b"\x80") for i in range(1000)])
        assert len(outcomes) == 1000 and {o.value for o in outcomes} == {b"\xc0"}

    in_cell(level, tmp_path, "def block():\n    pass\n", body)


def test_the_memory_limit_is_what_the_program_may_add(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        fits, bursts, after = await cell.run([block(0, mib=40), block(1, mib=400), block(2, mib=1)])
        assert fits.value is not None and after.value is not None
        assert bursts.failure is not None and bursts.failure.kind is FailureKind.MEMORY

    source = "def block(mib):\n    return len(bytearray(mib << 20))\n"
    in_cell(level, tmp_path, source, body, needs=Needs(memory_bytes=128 << 20))


def test_usage_is_measured(level: str, tmp_path: Path) -> None:
    async def body(cell: Cell) -> None:
        began = trio.current_time()
        (only,) = await cell.run([block(0)])
        assert 0.15 < only.usage.wall_s <= trio.current_time() - began
        assert 0.1 < only.usage.cpu_s < 5 and only.usage.peak_bytes > 20 << 20

    source = "import time\ndef block():\n    b = bytearray(20 << 20)\n    end = time.process_time() + 0.2\n    while time.process_time() < end: pass\n"
    in_cell(level, tmp_path, source, body)


def test_nothing_is_left_when_a_cell_closes_in_mid_block(level: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with cell_of(level, tmp_path, "def block():\n    while True: pass\n") as cell:
            with trio.move_on_after(0.3):
                await cell.run([block(0)])

    trio.run(main)


def test_a_pickled_function_is_loaded_inside_only(level: str, tmp_path: Path) -> None:
    """The bundle brings cloudpickle along, so that the environment need not have it."""
    import cloudpickle

    factor = 3
    files = {f"cloudpickle/{path.name}": path.read_bytes() for path in Path(cloudpickle.__file__).parent.glob("*.py")}
    files["function.pkl"] = cloudpickle.dumps(lambda index: index * factor)

    async def body(cell: Cell) -> None:
        outcomes = await cell.run([block(i) for i in range(3)])
        assert [canon.decode(o.value or b"") for o in outcomes] == [0, 3, 6], outcomes

    in_cell(level, tmp_path, files, body, entry="function.pkl:")
