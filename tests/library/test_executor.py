"""Futures on real nodes: what a call costs, what comes back from one that fails, restarts, the end of the program."""

from __future__ import annotations

import asyncio
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, as_completed
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import ctorrent
from ctorrent.errors import LocalError
from ctorrent.library.future import Future
from ctorrent.library.open_job import Call
from tests.real.herd import Tended, herd, until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def node() -> Iterator[Tended]:
    with herd() as make:
        one = make("ann")
        one.start()
        yield one


def scaled(value: float, factor: float = 2.0) -> float:
    return value * factor


def fails(what: str) -> None:
    raise KeyError(what)


class Model:
    """Its method is called somewhere; it comes along."""

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def at(self, x: float) -> float:
        return self.slope * x


def test_calls_of_one_function_are_blocks_of_one_job(node: Tended) -> None:
    with ctorrent.Executor(net=node.net) as pool:
        futures = [pool.submit(scaled, x, factor=3.0) for x in range(50)]
        assert [future.result(60) for future in futures] == [3.0 * x for x in range(50)]
        more = pool.submit(partial(scaled, factor=5.0), 7.0)
        assert more.result(60) == 35.0, "a partial's function is the same one"
        assert {future.job for future in (*futures, more)} == {futures[0].job}
        assert [future.index for future in (*futures, more)] == list(range(51))
        assert all(future.traceback() == "" for future in futures)
    assert node.net.job(futures[0].job)["state"] == "settled", "shutdown sealed it"


def test_methods_lambdas_and_large_arguments_travel(node: Tended) -> None:
    offset = 100
    with ctorrent.Executor(net=node.net) as pool:
        assert pool.submit(Model(2.5).at, 4.0).result(60) == 10.0
        assert list(pool.map(lambda x: x + offset, range(5))) == [100, 101, 102, 103, 104]
        assert pool.submit(len, b"x" * 3_000_000).result(60) == 3_000_000
        assert list(pool.map(scaled, range(10), chunksize=4)) == [2.0 * x for x in range(10)]


class Matrix:
    """Its bytes leave the pickle, as an array of numpy's do."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Matrix, (pickle.PickleBuffer(self.data),)


def changed(matrix: Matrix, by: int) -> list[int]:
    matrix.data[0] = by  # it is the call's own
    return [len(matrix.data), matrix.data[0], matrix.data[1], by]


def test_a_large_array_travels_once_for_all_calls_that_have_it(node: Tended) -> None:
    size = 2 << 20
    data = bytearray(os.urandom(size))
    before = _blob_bytes(node)
    with ctorrent.Executor(net=node.net) as pool:
        futures = [pool.submit(changed, Matrix(data), n) for n in range(8)]
        assert [future.result(60) for future in futures] == [[size, n, data[1], n] for n in range(8)]
        assert pool._folder is not None and len(list(pool._folder.iterdir())) == 1, "kept for the next call that has it"
    assert _blob_bytes(node) - before < 2.5 * size, "in the job's first record, and once for all others"


def _blob_bytes(node: Tended) -> int:
    return sum(path.stat().st_size for path in (node.data / "blobs").rglob("*") if path.is_file())


def test_ones_own_machine_may_answer_with_pickles(node: Tended) -> None:
    with ctorrent.Executor(net=node.net, pickled="own") as pool:
        model = pool.submit(Model, 2.5).result(60)
        assert type(model) is Model and model.at(4.0) == 10.0
    job = node.net.map(lambda slope: {"model": Model(slope)}, [1.0, 2.0], pickled="own")
    assert [value["model"].at(3.0) for value in job.values()] == [3.0, 6.0]
    again = node.net.jobs[job.name]
    assert "pickles are not opened" in str(again[0])
    again.pickled = "own"
    assert again[1]["model"].at(3.0) == 6.0
    with pytest.raises(TypeError, match=r"pickled='own'"):
        node.net.map(Model, [1.0]).values()


def test_an_exception_comes_back_as_what_it_was_with_its_traceback(node: Tended) -> None:
    with ctorrent.Executor(net=node.net) as pool:
        future = pool.submit(fails, "speed")
        with pytest.raises(KeyError, match="speed"):
            future.result(60)
        assert "in fails" in future.traceback()
        with pytest.raises(LocalError, match="cannot be called so"):
            pool.submit(scaled, nothing=1)
        with pytest.raises(LocalError):
            pool.submit(len, threading.Lock())


def test_calls_beyond_max_workers_wait_and_can_be_cancelled(node: Tended) -> None:
    with ctorrent.Executor(1, net=node.net) as pool:
        first, second, third = (pool.submit(time.sleep, 0.3) for _ in range(3))
        assert first.running()
        assert third.cancel()
        assert not first.cancel(), "it is under way"
        assert {future for future in as_completed([first, second, third], 60) if not future.cancelled()} == {first, second}
        with pytest.raises(CancelledError):
            third.result()


def test_net_submit_and_tasks_use_the_open_net(node: Tended) -> None:
    @ctorrent.task(replicas=1)
    def cubed(x: int) -> int:
        return x**3

    with ctorrent.client.attach(node.data) as net:
        assert net.submit(scaled, 4.0).result(60) == 8.0
        assert cubed(3) == 27, "called plainly it runs here"
        assert cubed.submit(4).result(60) == 64
        assert list(cubed.map([1, 2, 3])) == [1, 8, 27]
        left = net.submit(scaled, 5.0)
    assert left.done(), "leaving the net waits"
    assert left.result() == 10.0


def test_asyncio_waits_for_calls(node: Tended) -> None:
    async def main() -> list[float]:
        with ctorrent.Executor(net=node.net) as pool:
            loop = asyncio.get_running_loop()
            return list(await asyncio.gather(*(loop.run_in_executor(pool, scaled, x) for x in range(5))))

    assert asyncio.run(main()) == [0.0, 2.0, 4.0, 6.0, 8.0]


def test_a_job_that_is_full_is_followed_by_another(node: Tended) -> None:
    with ctorrent.Executor(net=node.net) as pool:
        first = pool.submit(scaled, 1.0)
        first.result(60)
        node.net.seal(first.job)
        second = pool.submit(scaled, 2.0)
        assert second.result(60) == 4.0
        assert second.job != first.job


@pytest.mark.slow
def test_a_node_that_is_killed_and_comes_back_loses_no_call(make: Callable[..., Tended]) -> None:
    one = make("dan")
    one.start()
    with ctorrent.client.Net(one.data) as net, ctorrent.Executor(net=net) as pool:
        pool.submit(scaled, 0.5).result(60)
        futures = [pool.submit(_nap, 0.2, x) for x in range(8)]
        until(lambda: futures[0].done(), "the first call ends")
        one.kill()
        later = pool.submit(scaled, 3.0)
        one.start()
        assert [future.result(120) for future in futures] == list(range(8))
        assert later.result(60) == 6.0


def _nap(seconds: float, x: int) -> int:
    time.sleep(seconds)
    return x


def _program(node: Tended, text: str) -> subprocess.CompletedProcess[str]:
    code = "import ctorrent, time\n" + textwrap.dedent(text)
    environ = {"CTORRENT_DATA": str(node.data), "PATH": "/usr/bin:/bin", "HOME": str(node.data)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environ, check=False)


def test_a_net_that_closes_ends_the_executors_that_use_it(node: Tended) -> None:
    ran = _program(node, """
        with ctorrent.connect() as net:
            pool = ctorrent.Executor(net=net, replicas=1)
            future = pool.submit(abs, -7)
        print(future.result(0), pool.closing)
    """)
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("7 True", "", 0)


def test_a_program_that_fails_amid_its_calls_comes_to_an_end(node: Tended) -> None:
    """They go on, and it waits for them: what is not sealed by then would never end."""
    ran = _program(node, """
        def late(x):
            time.sleep(1)
            return x
        with ctorrent.connect() as net:
            future = net.executor(replicas=1).submit(late, 7)
            while not future.job:
                time.sleep(0.01)
            future.add_done_callback(lambda future: print(future.result()))
            raise KeyError("apple")
    """)
    assert (ran.stdout.strip(), ran.returncode) == ("7", 1) and "KeyError: 'apple'" in ran.stderr


def test_a_callback_that_waits_for_its_executor_is_told_and_holds_up_nothing(node: Tended) -> None:
    ran = _program(node, """
        pool = ctorrent.Executor(replicas=1)
        def late(x):
            time.sleep(0.5)
            return x
        futures = [pool.submit(late, x) for x in range(3)]
        futures[0].add_done_callback(lambda future: pool.shutdown())
        print([future.result(60) for future in futures])
    """)
    assert ran.stdout.strip() == "[0, 1, 2]" and "cannot wait for its executor: shutdown(wait=False)" in ran.stderr and ran.returncode == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_fork_leaves_its_parents_connections_and_calls_alone(node: Tended) -> None:
    ran = _program(node, """
        import os, sys
        def late(x):
            time.sleep(0.2)
            return x
        net = ctorrent.connect()
        pool = net.executor(replicas=1)
        futures = [pool.submit(late, x) for x in range(10)]
        net.status()
        if not (child := os.fork()):
            for _ in range(100):
                assert "name" in net.status()
            try:
                pool.submit(late, 1)
            except RuntimeError as error:
                print("child:", error, flush=True)
            sys.exit(0)
        for _ in range(100):
            assert isinstance(net.jobs(), list)
        print(os.waitpid(child, 0)[1], sum(future.result(60) for future in futures))
        net.close()
    """)
    assert (ran.stdout.splitlines(), ran.stderr, ran.returncode) == (["child: cannot schedule new futures after shutdown", "0 45"], "", 0)


def test_a_call_that_cannot_be_written_down_fails_and_the_next_one_runs(node: Tended) -> None:
    with ctorrent.Executor(net=node.net, replicas=1) as pool:
        assert pool.submit(len, b"x").result(60) == 1
        job = next(iter(pool._jobs.values()))
        gone, kept = Call(Future(), b"", Path("/nowhere/at all")), job.packed.arguments((b"xyz",), {})
        assert job._has(Call(Future(), b"")) is False
        job._lives[-1].seal()  # so that the next begins a job, whose first call is read from its file
        assert job.hand([gone]) == 0.0
        with pytest.raises(FileNotFoundError):
            gone.future.result(10)
        after = Call(Future(), kept[0])
        job.hand([after])
        assert after.future.result(60) == 3


def test_a_program_that_ends_waits_for_its_calls(node: Tended) -> None:
    ran = _program(node, """
        pool = ctorrent.Executor(5)
        def late(x):
            time.sleep(0.5)
            return x
        pool.submit(late, "apple").add_done_callback(lambda future: print(future.result()))
        pool.shutdown(wait=False)
    """)
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("apple", "", 0)


def test_nothing_is_submitted_at_the_end_of_the_program(node: Tended) -> None:
    ran = _program(node, """
        import atexit
        @atexit.register
        def last():
            try:
                pool.submit(id, None)
            except RuntimeError as error:
                print(error)
        pool = ctorrent.Executor(5)
    """)
    assert "cannot schedule new futures after" in ran.stdout, ran


@pytest.fixture
def make() -> Iterator[Callable[..., Any]]:
    with herd() as maker:
        yield maker


def test_the_page_about_futures_says_what_happens(node: Tended, tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "futures.md").read_text()
    program = tmp_path / "page.py"
    program.write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    environ = {"CTORRENT_DATA": str(node.data), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    ran = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, env=environ, check=False)
    waits = r"(ctorrent: \w+: \d+ of \d+.*\n)*"  # said of a map that takes more than four seconds
    assert ran.returncode == 0 and re.fullmatch(waits, ran.stderr), ran
    assert ran.stdout.splitlines() == [
        "6.0", "[0.0, 1.0, 2.0, 3.0]", str([float(x) for x in range(100)]), "[0.0, 1.0, 2.0]", "6.0", "8", "27 [1, 8, 27]", "[0.0, 1.0, 2.0, 3.0, 4.0]",
    ]  # fmt: skip
