"""Friends and invites between real nodes: asked for in the open, granted by both, refused in words."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ctorrent.errors import CTorrentError
from tests.real.herd import Tended, ended, is_connected, until, write_job

pytestmark = pytest.mark.real

PROGRAM = """
    import time

    def work(index):
        time.sleep(0.1)
        return index
"""


def job(folder: Path, count: int = 4) -> Path:
    return write_job(folder, PROGRAM, f"""
        python: work.py:work
        blocks: {{count: {count}}}
        verify: {{replicas: 1}}
    """)


def both(make: Callable[..., Tended]) -> tuple[Tended, Tended]:
    """Two strangers, connected by a multiaddr; ann only submits."""
    ann, ben = make("ann", "--no-work"), make("ben")
    ann.start()
    ben.start("--join", ann.net.status()["addresses"][0])
    until(lambda: is_connected(ann, ben), "they are connected")
    return ann, ben


def test_why_says_that_a_peer_is_no_friend(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, _ = both(make)
    until(lambda: any(peer["owner"] for peer in ann.net.peers()), "they introduced themselves", 20)
    name = ann.net.submit(job(tmp_path / "job"))
    until(lambda: "1 peer is connected but is no friend: give it an invite (ctorrent invite)" in ann.net.why(name)["waits_for"], "why says so", 40)


def peers(one: Tended) -> str:
    """What `ctorrent peers` prints there."""
    command = [sys.executable, "-m", "ctorrent", "peers", "--data-dir", os.fspath(one.data)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True, env={**os.environ, "COLUMNS": "200"}).stdout


def test_a_friendship_is_asked_for_shown_with_its_command_and_works_once_both_agreed(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = both(make)
    until(lambda: any(peer["owner"] for peer in ann.net.peers()), "they introduced themselves", 20)
    added = ann.net.friend_add("ben")
    assert added["told"] == 1, added
    asks = until(lambda: next((p for p in ben.net.peers() if p["wants_friendship"]), None), "the request shows")
    assert (asks["name"], asks["friend"]) == ("ann", False)
    assert [row["state"] for row in ben.net.friends()] == ["asks"]
    assert "ctorrent friend add" in peers(ben)
    assert "Asked, and not friends yet: ben." in peers(ann)
    name = ann.net.submit(job(tmp_path))
    assert ann.net.job(name)["state"] == "waiting"
    ben.net.friend_add(asks["owner"])
    assert ended(ann.net, name, 60)["state"] == "settled"
    assert [row["state"] for row in ben.net.friends()] == ["friend"]
    assert "Asked" not in peers(ann)


def test_a_friend_that_is_removed_works_no_more_and_what_runs_goes_on(make: Callable[..., Tended], tmp_path: Path) -> None:
    ann, ben = make("ann", "--no-work"), make("ben")
    ann.start()
    ben.start("--join", ann.net.invite(1, 3600))
    first = ann.net.submit(job(tmp_path / "1", 30))
    until(lambda: ann.net.job(first)["settled"], "a block settles")
    ben.net.friend_remove("ann")
    assert ended(ann.net, first, 60)["state"] == "settled", "what ran went on to its end"
    second = ann.net.submit(job(tmp_path / "2"))
    until(lambda: "no peer" in ann.net.job(second)["reason"] or ann.net.why(second)["reasons"], "nobody takes it", 20)
    assert ann.net.job(second)["state"] == "waiting" and ann.net.job(second)["replicas_done"] == 0
    with pytest.raises(CTorrentError, match="is not a friend"):
        ben.net.friend_remove("ann")
    ben.net.friend_add(ann.net.status()["owner"])
    assert ended(ann.net, second, 60)["state"] == "settled", "friends again"


def test_invites_are_counted_expire_and_are_refused_in_words(make: Callable[..., Tended]) -> None:
    ann, ben, cat = make("ann"), make("ben"), make("cat")
    invite = ann.start().invite(1, 3600)
    ben.start("--join", invite)
    until(lambda: [friend["name"] for friend in ann.net.friends()] == ["ben"], "the invite is redeemed")
    cat.start()
    for wrong, words in ((invite, "used up"), (invite[:-4] + "aaaa", ""), ("ctorrent1nonsense", ""), ("/ip4/127.0.0.1/tcp/1", "p2p")):
        with pytest.raises(CTorrentError) as caught:
            cat.net.connect(wrong)
        assert words in str(caught.value), caught.value
        assert "Traceback" not in str(caught.value) and len(str(caught.value)) < 400
    assert cat.net.friends() == [] and [friend["name"] for friend in ann.net.friends()] == ["ben"]
    with pytest.raises(CTorrentError, match="1 to 1000"):
        ann.net.invite(0, 3600)
    ben.stop()
    ben.start("--join", invite)
    until(lambda: is_connected(ben, ann), "a node that is started with the same invite again is a member still")
    assert "Not joined" not in ben.said()
    ann.stop()
    ben.stop()
    ben.start("--join", invite)
    until(lambda: "Not joined" in ben.said(), "the inviter is away: said, and the node runs")


def test_an_unreachable_inviter_is_no_reason_not_to_start(make: Callable[..., Tended]) -> None:
    ann, ben = make("ann"), make("ben")
    invite = ann.start().invite(1, 3600)
    ann.stop()
    ben.start("--join", invite)
    until(lambda: "cannot be reached" in " ".join(ben.said().split()), "it says why it joined nobody")
