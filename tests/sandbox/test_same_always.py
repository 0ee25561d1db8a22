"""A sandbox says of a value whether another seed, or another place in the job, would have given it too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ctorrent.model.result import Outcome
from ctorrent.ports import Cell
from tests.sandbox.cells import block, in_cell

pytestmark = pytest.mark.real

HEAD = """
import os, random, secrets, uuid
TABLE = [1, 2, 3]
KEPT = []
def block(what, remembered=KEPT):
"""
# what a block returns -> may a block of another seed take its value?
WAYS = {
    "what * 2": True,
    "sorted({'b', 'a'})": True,
    "random.Random(what).random()": True,
    "random.random()": False,
    "random.getrandbits(8)": False,
    "random.choice(TABLE)": False,
    "os.urandom(1)": False,
    "secrets.randbelow(2)": False,
    "str(uuid.uuid4())": False,
    "random.Random().random()": False,
    "random.SystemRandom().random()": False,
}


def ways(tmp_path: Path, source: str, blocks: int, together: bool = False) -> list[Outcome]:
    found: list[Outcome] = []

    async def body(cell: Cell) -> None:
        units = [[block(index, what=index) for index in range(blocks)]] if together else [[block(index, what=index)] for index in range(blocks)]
        for unit in units:
            found.extend(await cell.run(unit))

    in_cell("jail", tmp_path, source, body)
    assert [one.failure for one in found if one.failure] == []
    return found


def test_what_draws_is_told_from_what_does_not(tmp_path: Path) -> None:
    lines = [line for at, way in enumerate(WAYS) for line in (f"    if what == {at}:", f"        return {way}")]
    found = ways(tmp_path, HEAD + "\n".join(lines), len(WAYS))
    assert {way: one.usage.same_always for way, one in zip(WAYS, found, strict=True)} == WAYS


@pytest.mark.parametrize("asked", ["seed", "index", "seed=0", "*, index"])
def test_who_asks_for_its_seed_or_place_has_a_value_of_its_own(asked: str, tmp_path: Path) -> None:
    (one,) = ways(tmp_path, f"def block(what, {asked}):\n    return what\n", 1)
    assert not one.usage.same_always


def test_what_a_process_remembers_of_a_draw_counts_for_the_blocks_after_it(tmp_path: Path) -> None:
    source = "import random\nKEPT = []\ndef block(what):\n    if what == 1:\n        KEPT.append(random.random())\n    return sum(KEPT) + what\n"
    found = ways(tmp_path, source, 3, together=True)
    assert [one.usage.same_always for one in found] == [True, False, False]


def test_a_draw_while_a_module_loads_counts(tmp_path: Path) -> None:
    (one,) = ways(tmp_path, "import random\nTABLE = [random.random() for _ in range(9)]\ndef block(what):\n    return TABLE[what]\n", 1)
    assert not one.usage.same_always


CLOCKS = {
    "what * 2": False,
    "time.gmtime(0).tm_year": False,
    "time.strftime('%Y', time.gmtime(5))": False,
    "str(datetime.datetime(2020, 1, 1))": False,
    "time.perf_counter() > 0": False,
    "logging.makeLogRecord({}) is not None": False,
    "pickle.loads(pickle.dumps(time.time)) is time.time": False,
    "time.time() > 0": True,
    "Timer().clock() > 0": True,
    "now() > 0": True,
    "time.time_ns() > 0": True,
    "time.localtime().tm_year": True,
    "time.gmtime(None).tm_year": True,
    "time.ctime()": True,
    "time.strftime('%Y')": True,
    "datetime.datetime.now().year": True,
    "str(datetime.date.today())": True,
}


def test_what_reads_the_clock_is_told_from_what_does_not(tmp_path: Path) -> None:
    head = "import datetime, logging, pickle, time\nfrom time import time as now\nclass Timer:\n    clock = time.time\ndef block(what):\n    return "
    found = {}
    for at, way in enumerate(CLOCKS):
        folder = tmp_path / str(at)
        folder.mkdir()
        (one,) = ways(folder, head + way + "\n", 1)
        found[way] = one.usage.clock
        assert not (one.usage.clock and one.usage.same_always)
    assert found == CLOCKS


def test_what_a_process_remembers_of_the_clock_counts_for_the_blocks_after_it(tmp_path: Path) -> None:
    source = "import time\nKEPT = []\ndef block(what):\n    if what == 1:\n        KEPT.append(time.time())\n    return len(KEPT)\n"
    assert [one.usage.clock for one in ways(tmp_path, source, 3, together=True)] == [False, True, True]


# numpy is in no environment that every machine has: its generators are asked in a process of their own
NUMPY = """
import json, sys
from ctorrent.sandbox.inside.seeds import Seeder
seeder = Seeder()
sys.meta_path.insert(0, seeder)
seeder.watch()
said = []
seeder.set(1 << 40)
import numpy
for way in sys.argv[1:]:
    seeder.set(1 << 40)
    eval(way, {"numpy": numpy})
    said.append(seeder.untouched())
print(json.dumps(said))
"""


def test_numpys_generators_are_watched_too() -> None:
    calls = {
        "numpy.arange(3)": True,
        "numpy.random.default_rng(5).random()": True,
        "numpy.random.RandomState(5).rand()": False,  # it draws once before it takes its seed: a miss costs a run, no more
        "numpy.random.rand()": False,
        "numpy.random.shuffle([1, 2])": False,
        "numpy.random.default_rng().random()": False,
        "numpy.random.RandomState().rand()": False,
    }
    ran = subprocess.run([sys.executable, "-c", NUMPY, *calls], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert dict(zip(calls, json.loads(ran.stdout), strict=True)) == calls
