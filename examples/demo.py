"""`make demo`: four nodes on this machine, of four owners; one of them lies, and a real search comes out right.

Everything is done with the `ctorrent` command that you would type, shown before its output. Nothing is left running.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

import ctorrent

ROOT = Path(__file__).parents[1]
JOB = ROOT / "examples" / "digits" / "job.yaml"
ENVIRONMENTS = ROOT / "out" / "environments"  # made once, shared by the four
SCIENCE = ("science", ["scikit-learn"])
NODES, LIAR, LIES = 4, 3, "0.2"


def prepare_environments(folder: Path = ENVIRONMENTS) -> Path:
    """A folder of environments with scikit-learn in it; takes as long as installing it, the first time."""
    name, packages = SCIENCE
    folder.mkdir(parents=True, exist_ok=True)
    with ctorrent.swarm(1, environments=folder) as alone:
        if not any(environment["name"] == name for environment in alone.net.environments()):
            print(f"Installing {' '.join(packages)} into the environment {name!r} (once) …", flush=True)
            alone.net.environment_add(name, packages)
    return folder


def say(words: str) -> None:
    print(f"\n── {words}", flush=True)


def command(node: Any, *words: str) -> int:
    """Run `ctorrent …` against one node, output to this terminal. -> exit code."""
    print(f"\n$ ctorrent {' '.join(words)}", flush=True)
    environ = {**os.environ, "CTORRENT_DATA": os.fspath(node.process.data_dir)}
    return subprocess.run([sys.executable, "-m", "ctorrent", *words], env=environ, cwd=ROOT, check=False).returncode


def show(swarm: Any) -> list[str]:
    """The tour. -> what went otherwise than it must, in words."""
    first, liar = swarm.members[0], swarm.members[LIAR]
    say(f"Four nodes, four owners, joined by an invite. {liar.net.status()['name']} returns wrong results for 1 block in 5.")
    command(first, "peers")
    say("A job: which parameters let a support vector machine read handwritten digits best?")
    exit_code = command(first, "submit", os.fspath(JOB.relative_to(ROOT)), "-o", "out/digits/", "--force")  # the nodes end with this
    say("What the first node's signed ledger says, and what the node concludes from it.")
    command(first, "ledger", "show")
    command(first, "reputation")
    return [*([f"submit ended with exit code {exit_code}"] if exit_code else []), *faults(first.net, liar.net.status()["node"])]


def faults(net: Any, liar: str) -> list[str]:
    """Is the liar caught, out-voted and recorded, and nobody else?"""
    name = net.jobs()[0]["job"]
    job = net.job(name)
    outvoted = {node for dispute in job["report"]["disputes"] for node in dispute["outvoted"]}
    wrong = [] if liar in outvoted else ["the liar was not out-voted"]
    wrong += ["an honest node was voted against"] if outvoted - {liar} else []
    wrong += [] if any(row["node"] == liar and row["disputed"] > 0 for row in net.reputation()) else ["the ledger does not tell of the liar"]
    wrong += recomputed(net.attach(name), {dispute["index"] for dispute in job["report"]["disputes"]})
    checked = net.ledger_verify()
    return wrong + (["the ledger does not verify"] if checked["bad"] or checked["forks"] or not checked["entries"] else [])


def recomputed(job: Any, disputed: set[int]) -> list[str]:
    """Compute the winner and every block that was lied about once more, here, without the swarm. -> what differs."""
    from examples.digits.search import score

    chosen = disputed | {job.answer()["index"]}
    rows = [row for row in job.rows() if row["index"] in chosen]
    differ = [row["index"] for row in rows if abs(score(**row["params"], seed=row["seed"])["accuracy"] - row["value"]["accuracy"]) > 1e-9]
    print(f"\nComputed {len(rows)} blocks again without the swarm, the winner and those that were lied about: {len(differ)} differ.")
    return [f"blocks {differ} settled wrongly"] if differ else []


def left_running(folder: Path) -> list[int]:
    """Processes that have to do with the swarm's folder."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(os.fspath(folder) in word for word in process.info["cmdline"] or []):
            found.append(process.info["pid"])
    return found


def main() -> int:
    environments = prepare_environments()
    begun = time.monotonic()
    environ = {"CTORRENT_TESTING": "1"}  # without it a node refuses to lie
    with ctorrent.swarm(NODES, extra={LIAR: ("--testing-lie", LIES)}, environ=environ, environments=environments) as swarm:
        folder = swarm.folder
        wrong = show(swarm)
    left = left_running(folder)
    wrong += [f"processes are left: {left}"] if left else []
    took = f"{time.monotonic() - begun:.0f} s"
    if wrong:
        print(f"\nThe demo did not go as it must ({took}): {'; '.join(wrong)}.")
        return 1
    print(f"\nThe liar was out-voted, the answer is right, nothing is left running. It took {took}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
