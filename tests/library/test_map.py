"""net.map against real nodes: one that asks and two that work, each of another owner, in the jail."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest
import trio

import ctorrent
from ctorrent import client
from ctorrent.client import Net
from ctorrent.errors import LocalError, Unavailable, WorkError
from ctorrent.library import sending
from ctorrent.library.failures import RemoteTraceback

pytestmark = pytest.mark.real
FACTOR = 3
LEAVES_S = 15.0  # a net is left in milliseconds; two busy cores take longer
HEARD_S = 5.0  # a cancellation is heard within a second there


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    with ctorrent.swarm(3, flags=("--slots", "1", "--isolation", "jail"), extra={0: ("--no-work",)}) as swarm:
        yield swarm.net


def simulate(beta: float, n: int, seed: int) -> dict[str, Any]:
    import random

    return {"peak": beta * n * FACTOR, "draw": random.Random(seed).random()}


def test_dicts_in_and_a_table_of_as_many_rows_out(net: Net) -> None:
    settings = [{"beta": i / 10, "n": i} for i in range(200)]
    result = net.map(simulate, settings, seed=7)
    assert len(result) == 200
    table = result.table()
    assert list(table.columns) == ["beta", "n", "draw", "peak"] and len(table) == 200
    assert table["peak"].tolist() == [i / 10 * i * FACTOR for i in range(200)]
    assert table["draw"].nunique() == 200, "each call has a seed of its own"
    assert result.status()["replicas_wanted"] == 2, "there are others, so two must agree"
    again = net.jobs[result.name]
    assert again.table().equals(table), "as after a restart of the kernel"
    assert net.map(simulate, settings[:3], seed=7).table()["draw"].tolist() == table["draw"].tolist()[:3]


def test_results_come_in_order_or_as_they_end(net: Net) -> None:
    result = net.map(lambda x: (x, "y"), range(40), replicas=1)
    assert list(result) == [(x, "y") for x in range(40)]
    assert sorted(result.as_completed()) == [(x, (x, "y")) for x in range(40)]
    assert result[-1] == (39, "y") and result[3] == (3, "y")
    with pytest.raises(IndexError):
        result[40]
    pairs = dict(net.map(lambda a, b: a * b, [(2, 3), (4, 5)], as_completed=True, replicas=1))
    assert pairs == {0: 6, 1: 20}


def test_the_exception_of_a_call_is_raised_with_its_traceback(net: Net) -> None:
    def divide(x: int) -> float:
        return 1 / x

    with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
        net.map(divide, [1, 0, 2], replicas=1).values()
    error = caught.value
    assert isinstance(error, WorkError) and isinstance(error, ctorrent.CallFailed)
    assert (error.index, error.type) == (1, "ZeroDivisionError")
    assert isinstance(error.__cause__, RemoteTraceback)
    assert "in divide" in str(error.__cause__) and "ctorrent_call" not in str(error.__cause__)
    kept = net.map(divide, [1, 0, 2], on_error="keep", replicas=1)
    values = kept.values()
    assert values[0] == 1 and values[2] == 0.5 and isinstance(values[1], ZeroDivisionError)
    assert kept.table()["error"].tolist()[1] == "ZeroDivisionError: division by zero"
    assert list(kept.errors()) == [1]
    assert re.search(rf"{kept.name}  divide +done, 1 failed  3\b", repr(net.jobs)), "all of it ran, and the error was to be kept"


class Odd(Exception):
    """Of a type that is not built in."""


def test_failures_of_other_kinds(net: Net) -> None:
    def fails(x: int) -> Any:
        if x == 0:
            raise Odd("three\nlines\nlong")
        if x == 1:
            raise KeyError("k")
        return object() if x == 2 else x

    odd, key, thing, good = net.map(fails, range(4), on_error="keep", replicas=1).values()
    assert type(odd) is ctorrent.CallFailed and odd.type == "Odd" and odd.message == "three\nlines\nlong"
    assert isinstance(key, KeyError) and key.message == "'k'"
    assert "ctorrent.register(object" in str(thing)
    assert good == 3


def test_shared_values_and_large_arguments(net: Net) -> None:
    data = [at / 2 for at in range(200_000)]
    result = net.map(lambda at, data: data[at], [5, 6], shared={"data": data}, replicas=1)
    assert result.values() == [2.5, 3.0]
    long = ["x" * 70_000, "y" * 100_000]
    assert net.map(len, long, replicas=1).values() == [70_000, 100_000]
    assert net.map(lambda words: sorted(words), [{"b", "a"}], replicas=1).values() == [["a", "b"]]


@dataclasses.dataclass
class Point:
    x: int


def test_a_registered_type_comes_back_as_itself(net: Net) -> None:
    ctorrent.register(Point, lambda point: point.x, Point)
    assert net.map(lambda x: Point(x), range(3), replicas=1).values() == [Point(0), Point(1), Point(2)]


HOSTILE = """
import pickle
class Bomb:
    def __reduce__(self):
        return open, (MARKER, "w")
def evil():
    return {"__type__": "pickle", "value": pickle.dumps(Bomb())}
"""


def test_a_strangers_pickle_is_never_opened(net: Net, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marker = tmp_path / "opened"
    (tmp_path / "hostile.py").write_text(HOSTILE.replace("MARKER", repr(str(marker))))
    (tmp_path / "job.yaml").write_text("{python: 'hostile.py:evil', blocks: {count: 2}, needs: {isolation: jail}, verify: {replicas: 1}, name: hostile}")
    job = net.jobs[net.run(tmp_path / "job.yaml", progress=True).name]
    assert "hostile" in (drawn := capsys.readouterr().err) and "2/2" in drawn, "a job file's bar"
    assert all(isinstance(value, ctorrent.CallFailed) and "pickles are not opened unless you say so" in str(value) for value in job.values())
    job.pickled = "own"
    said = job.values()
    assert all(isinstance(value, ctorrent.CallFailed) and "not yours, and was not opened" in value.message for value in said)
    assert not marker.exists()


def test_a_job_of_pickles_is_not_given_to_a_stranger(net: Net) -> None:
    job = net.map(lambda x: object(), range(2), pickled="own")
    with closing(job.watch()) as statuses:
        assert any("waits for a machine of your own" in status["reason"] for status in statuses)
    assert job.status()["replicas_done"] == 0 and not job.status()["workers"]
    job.cancel()
    for wrong in ({"ring": "public"}, {"replicas": 2}, {"assurance": "economy"}):
        with pytest.raises(LocalError, match="your own machines alone"):
            net.map(abs, [1], pickled="own", **wrong)


def test_what_is_wrong_is_said_before_anything_is_sent(net: Net) -> None:
    before = len(net.jobs())
    with pytest.raises(LocalError, match=r"Item 1: .*missing a required argument: 'b'"):
        net.map(lambda a, b: a, [{"a": 1, "b": 2}, {"a": 1}])
    with pytest.raises(LocalError, match=r"There is no option replica\. Did you mean replicas"):
        net.map(abs, [1], replica=1)
    with pytest.raises(LocalError, match=r"no option on_eror\. Did you mean on_error"):
        net.map(abs, [1], on_eror="keep")
    with pytest.raises(LocalError, match=r"no option memory\. Did you mean needs=\{'memory': …\}"):
        net.map(abs, [1], memory="1 GB")
    with pytest.raises(LocalError, match=r"^replicas: must be a whole number from 1 to 64, not 0"):
        net.map(abs, [1], replicas=0)
    with pytest.raises(LocalError, match=r"^limits\.seconds: must be seconds"):
        net.map(abs, [1], limits={"seconds": -1})
    with pytest.raises(LocalError, match="'raise' or 'keep'"):
        net.map(abs, [1], on_error="ignore")
    with pytest.raises(Unavailable, match=r"of Python 3\.7.*there is 3\."):
        sending.check_python(net, "3.7")
    empty = net.map(abs, [])
    assert len(empty) == 0 and list(empty) == [] and empty.values() == [] and len(empty.table()) == 0
    assert len(net.jobs()) == before


def test_collections(net: Net, tmp_path: Path) -> None:
    job = net.map(abs, [-1], replicas=1, name="only-one")
    assert job.values() == [1]
    assert net.jobs["only-one"].name == job.name and net.jobs[0].name == job.name
    assert job.name in net.jobs and job.name in repr(net.jobs) and repr(net.jobs).splitlines()[1].split() == ["job", "name", "state", "blocks"]
    assert len(net.peers) == 2 and net.peers["node1"]["connected"]
    assert set(net.peers.table()["name"]) == {"node1", "node2"}
    with pytest.raises(LocalError, match=r"names none of the peers here\. There is: node1, node2"):
        net.peers["nobody"]
    assert len(net.offers) >= 1
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    assert len(net.blob(tmp_path / "data.csv")) == 64


def test_one_job_is_read_from_several_threads(net: Net) -> None:
    result = net.map(lambda x: x + 1, range(50), replicas=1)
    seen: list[list[int]] = []
    threads = [threading.Thread(target=lambda: seen.append(list(result))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert seen == [list(range(1, 51))] * 4


def test_a_cancelled_job_says_so(net: Net) -> None:
    def long(x: int) -> int:
        import time

        time.sleep(600)
        return x

    result = net.map(long, range(2), replicas=1, limits={"seconds": 900})
    result.cancel("not needed")
    with pytest.raises(WorkError, match="is cancelled: not needed"):
        result.values()


def test_under_trio(net: Net) -> None:
    async def main() -> None:
        async with client.attach(net.folder) as there:
            result = await there.map(lambda x: x * x, range(30), replicas=1)
            assert [value async for value in result] == [x * x for x in range(30)]
            assert dict([pair async for pair in result.as_completed()]) == {x: x * x for x in range(30)}
            assert len(await result.table()) == 30
            assert (await there.status())["peers"] == 2
            slow = await there.map(lambda x: __import__("time").sleep(600), [1], replicas=1, limits={"seconds": 900})
            with trio.move_on_after(0.2) as scope:
                await slow.values()
            assert scope.cancelled_caught
            await slow.cancel("enough")

    trio.run(main)


def long(x: int) -> int:
    import time

    time.sleep(600)
    return x


async def _handed(future: Any) -> None:
    with trio.fail_after(60):
        while not future.job:  # noqa: ASYNC110  set by another thread
            await trio.sleep(0.01)


@pytest.mark.parametrize("how", ["an error", "cancelled inside", "cancelled while it waits"])
def test_leaving_under_trio_by_an_error_or_a_cancel_waits_for_no_call(net: Net, how: str) -> None:
    """Within LEAVES_S; the call takes 600."""

    async def main() -> tuple[str, float]:
        with trio.CancelScope() as scope:
            try:
                async with client.attach(net.folder) as there:
                    future = await there.submit(long, 1)
                    await _handed(future)
                    began = trio.current_time()
                    if how == "an error":
                        raise KeyError("apple")
                    if how == "cancelled inside":
                        scope.cancel()
                        await future
                    scope.deadline = began + 0.5
            except KeyError:
                assert how == "an error"
        assert scope.cancelled_caught == (how != "an error")
        return str(future.job), trio.current_time() - began

    job, took = trio.run(main)
    net.cancel(job, "nobody waits for it")
    assert took < LEAVES_S


def test_a_run_under_trio_is_cancelled(net: Net, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\ndef slow():\n    time.sleep(600)\n")
    (tmp_path / "job.yaml").write_text("{python: 'slow.py:slow', blocks: {count: 1}, needs: {isolation: jail}, verify: {replicas: 1}, name: slow-run}")

    async def main() -> None:
        async with client.attach(net.folder) as there:
            before = len(await there.jobs())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(there.run, tmp_path / "job.yaml")
                with trio.fail_after(60):
                    while len(await there.jobs()) == before:  # noqa: ASYNC110  another program's word
                        await trio.sleep(0.05)
                nursery.cancel_scope.cancel()
                began = trio.current_time()
            assert trio.current_time() - began < HEARD_S
            assert len(await there.jobs()) == before + 1, "it goes on"
            job = await there.attach("slow-run")
            with trio.move_on_after(0.2) as scope:
                await job.wait()
            assert scope.cancelled_caught
            with trio.move_on_after(0.2) as scope:
                async for _ in job.logs(follow=True):  # it prints nothing
                    pass
            assert scope.cancelled_caught and trio.current_time() - scope.deadline < HEARD_S
            with trio.fail_after(HEARD_S):
                while trio.to_thread.current_default_thread_limiter().borrowed_tokens:  # noqa: ASYNC110  the thread that waited for the log
                    await trio.sleep(0.01)
            await job.cancel("enough")
            assert (await job.wait())["state"] == "cancelled"

    trio.run(main)


def test_a_call_under_trio(net: Net) -> None:
    async def main() -> None:
        async with client.attach(net.folder) as there:
            four, fails = await there.submit(pow, 2, 2), await there.submit(divmod, 1, 0)
            with trio.fail_after(60):
                assert (await four, await four.result(), await four.exception(), await four.traceback()) == (4, 4, None, "")
                assert four.done() and four.index == 0
                with pytest.raises(ZeroDivisionError):
                    await fails
                assert "ZeroDivisionError" in await fails.traceback()
            waits = await there.submit(long, 1)
            with pytest.raises(TimeoutError):
                await waits.result(0.2)
            await _handed(waits)
            await there.cancel(waits.job)
            with pytest.raises(ctorrent.CallFailed, match="is cancelled"):
                await waits

    trio.run(main)


def test_collections_and_streams_under_trio(net: Net) -> None:
    async def main() -> None:
        async with client.attach(net.folder) as there:
            result = await there.map(_says, [1, 2], replicas=1, name="says")
            assert (await result.wait())["state"] == (await result.status())["state"] == "settled"
            assert [status["state"] async for status in result.watch()] == ["settled"]
            assert [row["params"] async for row in result.rows()] == [row["params"] for row in result.sync.rows()]
            assert {line["text"] async for line in result.logs()} == {"one 1\n", "one 2\n"} == {line["text"] async for line in there.logs(result.name)}
            again = await there.jobs["says"]
            again.pickled = "own"
            assert again.name == result.name and await again.values() == [1, 2] and again.sync.pickled == "own"
            assert (await there.jobs[0]).name == result.name in [job.name async for job in there.jobs]
            assert (await there.jobs(limit=1))[0]["job"] == result.name
            assert (await again[-1], await again[0]) == (2, 1)
            with pytest.raises(IndexError, match="item 2 of 2"):
                await again[2]
            pairs = await there.map(_says, [3, 4], replicas=1, as_completed=True)
            assert {pair async for pair in pairs} == {(0, 3), (1, 4)}
            assert (await (await there.map(_says, [])).wait())["blocks"] == 0
            assert (await there.peers["node1"])["connected"] and {row["name"] async for row in there.peers} == {"node1", "node2"}
            assert set((await there.peers.table())["name"]) == {"node1", "node2"}
            with pytest.raises(LocalError, match=r"names none of the peers here"):
                await there.peers["nobody"]
            kinds = set()
            async with aclosing(there.events()) as events:
                async for event in events:
                    kinds.add(event["kind"])
                    if kinds >= {"job", "peers", "machine", "pool"}:
                        break
            assert b"".join([piece async for piece in there.receipt(result.name)])
            with pytest.raises(LocalError, match="nothing-of-this-name"):
                async for _ in there.watch("nothing-of-this-name"):
                    pass

    trio.run(main)


def _says(x: int) -> int:
    print("one", x)
    return x


SCRIPT = """
import ctorrent
def square(x):
    return x * x
if __name__ == "__main__":
    with ctorrent.connect() as net:
        print(net.map(square, range(5), replicas=1, progress=False).values())
"""


WAITS = """
import ctorrent
def long(x):
    __import__("time").sleep(600)
with ctorrent.connect() as net:
    result = net.map(long, range(2), replicas=1, limits={"seconds": 900})
    print(result.name, flush=True)
    result.values()
"""


def test_ctrl_c_in_a_script_says_what_became_of_the_job_in_one_line(net: Net, tmp_path: Path) -> None:
    (tmp_path / "waits.py").write_text(WAITS)
    environ = {**os.environ, "CTORRENT_DATA": str(net.folder)}
    with subprocess.Popen([sys.executable, str(tmp_path / "waits.py")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ) as script:
        assert script.stdout is not None and script.stderr is not None
        name, waits = script.stdout.readline().strip(), script.stderr.readline()
        assert waits.startswith("ctorrent: long: 0 of 2"), "it waits, and says so"
        script.send_signal(signal.SIGINT)
        _, said = script.communicate(timeout=60)
    assert script.returncode == -signal.SIGINT, "as of every program that Ctrl-C ends"
    assert said == f"ctorrent: Interrupted. Job {name} goes on: net.jobs['{name}'] gives it back, net.cancel('{name}') ends it.\n"
    assert net.job(name)["state"] == "running"
    net.cancel(name)


def test_a_plain_script_in_a_pipe_prints_only_its_own_words(net: Net, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environ = {**os.environ, "CTORRENT_DATA": str(net.folder)}
    done = subprocess.run([sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, env=environ, check=False)
    assert (done.stdout, done.stderr) == ("[0, 1, 4, 9, 16]\n", "")
