"""python -m tests.attacks.matrix [--short]: run what is missing, then judge, tabulate and draw all of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from dataclasses import fields
from multiprocessing import get_context
from pathlib import Path

from . import picture, table
from .cells import gather
from .form import FORMS, Form
from .judge import Measured
from .policies import POLICIES
from .rows import ROWS
from .run import Case, tried
from .targets import judged

DOCS = Path(__file__).parents[3] / "docs"
PUBLISHED = Path(__file__).parent / "long.jsonl"  # the runs behind docs/attack_matrix.md and README's table
RUNS_A_PROCESS = 8  # then it is replaced, with whatever memory it held
GUESS_S = {"long": 60.0, "medium": 12.0, "short": 5.0, "smoke": 2.0}  # of one run, before any was timed


def main(arguments: list[str]) -> int:
    """1 where a target is missed or a run failed."""
    asked = _asked(arguments)
    form = FORMS["short" if asked.short else asked.form]
    rows = asked.rows or list(form.rows) or list(ROWS)
    policies = asked.policies or list(form.policies) or list(POLICIES)
    seeds = list(range(1, (asked.seeds or form.seeds) + 1))
    kept = Path(asked.resume) if asked.resume else Path(asked.out) / f"matrix-{form.name}.jsonl"
    kept.parent.mkdir(parents=True, exist_ok=True)
    cases = [(row, policy, seed) for seed in seeds for row in rows for policy in policies]
    held = load(kept, form)
    done = {key: run for key, run in held.items() if key in cases}
    failed = run_all([case for case in cases if case not in done], done, form, kept, asked.jobs)
    told = whole_seeds(done, len(rows) * len(policies)) if asked.publish else done
    code = report(told, form, Path(asked.out), failed)
    if asked.publish:
        publish(Path(asked.out), load(PUBLISHED, form) | held | done)
    return code


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.attacks.matrix", description=__doc__)
    parser.add_argument("--short", action="store_true", help="three attacks, two seeds, 40 nodes, 4,000 blocks")
    parser.add_argument("--form", choices=list(FORMS), default="long")
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--policies", nargs="+", choices=list(POLICIES), metavar="POLICY", help=", ".join(POLICIES))
    parser.add_argument("--seeds", type=int, default=0, help="how many; 0: the form's")
    parser.add_argument("--jobs", type=int, default=max(1, os.cpu_count() or 1), help="runs at once")
    parser.add_argument("--resume", metavar="FILE", help="where results are kept; what it holds is not run again")
    parser.add_argument("--publish", action="store_true", help="write docs/attack_matrix.md and .svg, README's table and long.jsonl, too")
    parser.add_argument("--out", default="out/matrix", metavar="FOLDER", help="table, plot and results")
    asked = parser.parse_args(arguments)
    if asked.publish and (asked.short or asked.form != "long" or asked.rows or asked.policies):
        parser.error("what is published are all rows and policies of the long form; --seeds may say how many of its seeds")
    return asked


def load(path: Path, form: Form) -> dict[Case, Measured]:
    """Results of this form that a file holds; a line that was cut off is as if it were not there."""
    found: dict[Case, Measured] = {}
    names = {field.name for field in fields(Measured)}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            words = json.loads(line)
        except json.JSONDecodeError:
            continue
        if set(words) == names and words["form"] == form.name:
            run = Measured(**words)
            found[run.row, run.policy, run.seed] = run
    return found


def run_all(missing: list[Case], done: dict[Case, Measured], form: Form, kept: Path, jobs: int) -> int:
    """Run what is missing, each in a process, and append what comes of it. -> how many failed."""
    known = [run.took_s for run in done.values()]
    each_s = sum(known) / len(known) if known else GUESS_S[form.name]
    print(f"{len(missing)} runs to do, {len(done)} done: about {len(missing) * each_s / jobs / 3600:.2f} h on {jobs} cores", flush=True)
    began, failed = time.perf_counter(), 0
    if missing:  # concurrent.futures' pool of 3.11 stands still when a worker has had its share of tasks
        with get_context("spawn").Pool(jobs, maxtasksperchild=RUNS_A_PROCESS) as pool, kept.open("a") as out:
            outcomes = pool.imap_unordered(tried, [(*case, form) for case in missing])
            for number, (case, run, words) in enumerate(outcomes, 1):
                if run is None:
                    failed += 1
                    print(f"FAILED {case}: {words}", file=sys.stderr, flush=True)
                    continue
                done[case] = run
                out.write(run.line() + "\n")
                out.flush()
                left_s = (time.perf_counter() - began) / number * (len(missing) - number)
                print(f"{number}/{len(missing)} {_told(run)}  {left_s / 60:.0f} min left", flush=True)
    print(f"took {(time.perf_counter() - began) / 3600:.2f} h", flush=True)
    return failed


def _told(run: Measured) -> str:
    wrong = 100 * run.wrong / run.settled if run.settled else float("nan")
    return (
        f"{run.row:16} {run.policy:9} seed {run.seed}: {run.overhead:.3f} ({run.steady:.3f}) ×, {wrong:.3f} % wrong, "
        f"{run.quarantined} quarantined, {run.hostile_caught}/{run.hostile_lied} caught, {run.own_runs} own, {run.state}, {run.took_s:.0f} s"
    )


def whole_seeds(done: dict[Case, Measured], cells: int) -> dict[Case, Measured]:
    """Runs of seeds that all cells have: in what is published every cell stands on the same ones."""
    count = Counter(seed for _, _, seed in done)
    return {key: run for key, run in done.items() if count[key[2]] == cells}


def publish(folder: Path, runs: dict[Case, Measured]) -> None:
    """What was just written, and every run, to where people read it. Raises ValueError where README has no place for it."""
    PUBLISHED.write_text("".join(run.line() + "\n" for run in sorted(runs.values(), key=lambda run: (run.seed, run.row, run.policy))))
    for name in ("attack_matrix.md", "attack_matrix.svg"):
        (DOCS / name).write_text((folder / name).read_text())
    readme = DOCS.parent / "README.md"
    readme.write_text(table.between(readme.read_text(), (folder / "readme_table.md").read_text().strip()))


def report(done: dict[Case, Measured], form: Form, folder: Path, failed: int) -> int:
    cells = gather(done.values())
    lines = judged(cells, form.name)
    for line in lines:
        print(line)
    hours = sum(run.took_s for run in done.values()) / 3600
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "attack_matrix.md").write_text(table.whole(cells, lines, form, hours))
    (folder / "attack_matrix.svg").write_text(picture.drawn(cells, form.name))
    (folder / "readme_table.md").write_text(table.short(cells) + "\n")
    missed = sum(not line.met for line in lines)
    print(f"{len(lines) - missed} of {len(lines)} targets met, {failed} runs failed; {folder}/attack_matrix.md, .svg")
    return 1 if missed or failed or not lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
