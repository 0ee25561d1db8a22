"""The library against a small Door on a real socket."""

from __future__ import annotations

import inspect
import pathlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

import ctorrent
from ctorrent import canon, channel, client, errors
from ctorrent.client import Net
from ctorrent.door import Door
from ctorrent.library.trio_net import AsyncFuture, AsyncJob, AsyncMapResult, AsyncNet
from ctorrent.node.control import ControlRules
from tests.client.small_door import SmallDoor, serving

pytestmark = pytest.mark.real


@pytest.fixture
def door() -> SmallDoor:
    return SmallDoor()


@pytest.fixture
def net(door: SmallDoor, tmp_path: pathlib.Path) -> Iterator[Net]:
    with serving(door, tmp_path / "control.sock"), client.attach(tmp_path) as net:
        yield net


@pytest.fixture
def job_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "job.yaml"
    path.write_text("python: search.py:score\n")
    return path


def test_run_submits_waits_and_hands_back_everything(net: Net, door: SmallDoor, job_file: pathlib.Path) -> None:
    job = net.run(job_file, replicas=3)
    assert door.asked == [("submit", str(job_file), "python: search.py:score\n", {"replicas": 3})]
    assert job.name == "abcdefgh"
    assert job.status()["state"] == "settled"
    assert job.answer() == {"C": 10, "gamma": 0.001, "accuracy": 0.97}


def test_rows_are_decoded_and_the_table_is_flat(net: Net) -> None:
    job = net.attach("abc")
    rows = list(job.rows())
    assert [row["index"] for row in rows] == list(range(12))
    assert rows[3]["params"] == {"C": 3, "gamma": 0.5}
    assert rows[3]["value"] == {"accuracy": 0.3, "more": {"n": 3}, "pad": b""}
    table = job.table()
    assert list(table["C"]) == list(range(12))
    assert table["accuracy"][4] == 0.4 and table["accuracy"].isna()[5]
    assert table["more.n"][7] == 7
    assert table["error"][5] == "bad C"


def test_without_pandas_a_table_is_a_dict_of_columns(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)  # as Python itself marks what cannot be imported
    table = net.attach("abc").table()
    assert table["C"] == list(range(12))
    assert table["accuracy"][4:7] == [0.4, None, 0.6]


def test_a_value_named_as_a_parameter_keeps_both() -> None:
    row = {"index": 0, "state": "settled", "params": {"C": 1}, "value": {"C": 2, "d": 3}}
    assert client.flat_row(row) == {"index": 0, "state": "settled", "C": 1, "result.C": 2, "d": 3}
    assert client.flat_row({**row, "value": 9})["value"] == 9
    assert client.flat_row({**row, "params": {"value": 1}, "value": 9})["result.value"] == 9


def test_values_larger_than_a_frame_arrive_page_by_page(tmp_path: pathlib.Path) -> None:
    door = SmallDoor()
    door.row_bytes = 18 << 20  # a frame is 16 MiB
    with serving(door, tmp_path / "control.sock"), client.attach(tmp_path) as net:
        assert len(net.results("abc", 2, 100)) == 1, "a page ends after the row that passes its size"
        assert [len(row["value"]["pad"]) for row in net.attach("abc").rows() if "value" in row][:2] == [18 << 20] * 2


def test_pages_of_small_rows_are_whole(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock", ControlRules(page_bytes=700)), client.attach(tmp_path) as net:
        assert len(net.results("abc")) == 3
        assert len(list(net.attach("abc").rows())) == 12


def test_errors_come_back_as_what_they_are(net: Net, tmp_path: pathlib.Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("nonsense: 1\n")
    with pytest.raises(ctorrent.JobFileError) as caught:
        net.run(bad)
    assert caught.value.message == "job.yaml:1: nonsense: there is no such field."
    assert caught.value.hint.startswith("Fields:")
    with pytest.raises(ctorrent.LocalError, match="There is no job file"):
        net.run(tmp_path / "absent.yaml")
    with pytest.raises(ctorrent.Unavailable):
        net.connect("/ip4/1.2.3.4/tcp/1")
    assert net.status()["name"] == "ann", "the connection is of use after an error"


def test_a_bug_in_one_call_is_an_error_answer_and_a_log_line(net: Net, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ctorrent.LocalError, match="ZeroDivisionError: a bug of ours"):
        net.environment_add("crash", [])
    assert "environment_add failed inside the node" in caplog.text
    assert net.status()["name"] == "ann"
    with pytest.raises(ctorrent.CTorrentError, match="The inner sentence"):
        net.environment_add("group", [])


def test_an_unknown_error_class_is_still_an_error() -> None:
    made = channel.rebuilt({"kind": "annotations", "message": "m", "hint": "h"})
    assert type(made) is ctorrent.CTorrentError
    assert (made.message, made.hint) == ("m", "h")


def test_no_answer_is_an_error_with_the_reason(net: Net, door: SmallDoor) -> None:
    door.found_answer = {"why": "5 of 12 blocks are settled."}
    with pytest.raises(ctorrent.WorkError, match="5 of 12 blocks"):
        net.attach("abc").answer()


def test_calls_are_answered_while_a_job_is_watched(net: Net, door: SmallDoor) -> None:
    changes = net.watch("run")
    assert next(changes)["state"] == "running"
    net.cancel("run", "enough")
    assert ("cancel", "run", "enough") in door.asked
    assert all(status["state"] == "running" for status in changes)


def test_leaving_a_watch_early_ends_the_request(net: Net, door: SmallDoor) -> None:
    changes = net.watch("run")
    next(changes)
    changes.close()  # type: ignore[attr-defined]
    assert door.unwatched.wait(10), "the node goes on watching for nobody"


def test_a_job_that_pauses_itself_ends_the_wait(net: Net, door: SmallDoor) -> None:
    door.statuses = [{**door.end, "state": "running"}, {**door.end, "state": "paused", "reason": "blocks disagree"}]
    door.end = door.statuses[-1]
    assert net.attach("abc").wait()["reason"] == "blocks disagree"


def test_threads_share_a_net(net: Net) -> None:
    seen: list[int] = []
    threads = [threading.Thread(target=lambda: seen.append(len(net.results("abc")))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert seen == [12] * 12


def test_nobody_there_is_said_with_what_to_do(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ctorrent.Unavailable) as caught:
        client.attach(tmp_path)
    assert str(tmp_path) in caught.value.message
    assert "ctorrent node" in caught.value.hint


def test_a_node_that_ends_in_between_is_said(tmp_path: pathlib.Path) -> None:
    with serving(SmallDoor(), tmp_path / "control.sock"):
        net = client.attach(tmp_path)
        changes = net.watch("run")
        next(changes)
    with pytest.raises(ctorrent.Unavailable, match="The node ended"):
        list(changes)
    with pytest.raises(ctorrent.Unavailable, match=r"No node runs|The node ended"):
        net.status()
    net.close()


def test_the_data_folder_is_argument_then_variable_then_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CTORRENT_DATA", "/from/variable")
    assert client.data_folder("/from/argument") == pathlib.Path("/from/argument")
    assert client.data_folder() == pathlib.Path("/from/variable")
    monkeypatch.delenv("CTORRENT_DATA")
    assert client.data_folder().name == "ctorrent"


def test_values_decode_to_numpy() -> None:
    import numpy

    decoded = client.decode_value(canon.encode(numpy.arange(6.0).reshape(2, 3)))
    assert decoded.shape == (2, 3)


def test_importing_costs_little_and_loads_no_network() -> None:
    code = (
        "import sys, time; t = time.process_time(); import ctorrent; print(time.process_time() - t)\n"
        "ctorrent.connect, ctorrent.CTorrentError\n"
        "bad = {'libp2p', 'trio', 'numpy', 'docker', 'google.protobuf', 'ctorrent.node'} & set(sys.modules)\n"
        "assert not bad, bad"
    )
    took = [float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout) for _ in range(4)]
    assert min(took) < 0.05, took


def test_every_public_member_says_what_it_is() -> None:
    """The reference shows none that does not."""
    shown = [*(getattr(ctorrent, name) for name in ctorrent.__all__), Door, AsyncNet, AsyncJob, AsyncMapResult, AsyncFuture]
    silent = [
        f"{place.__name__}.{name}"
        for kind in filter(inspect.isclass, shown)
        for place in kind.__mro__
        if place.__module__.startswith("ctorrent")
        for name, member in (("", place), *vars(place).items())
        if not name.startswith("_") and (callable(member) or isinstance(member, property | classmethod | staticmethod)) and not member.__doc__
    ]
    assert not sorted(set(silent))


def test_every_error_has_a_public_name_and_its_place_in_the_tree() -> None:
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.CTorrentError)}
    assert kinds <= set(ctorrent.__all__)
    assert kinds <= set(re.findall(r"\w+", (errors.__doc__ or "").partition("A message")[0]))


def test_every_public_name_exists() -> None:
    for name in ctorrent.__all__:
        assert getattr(ctorrent, name) is not None
    with pytest.raises(AttributeError):
        ctorrent.nothing  # noqa: B018
