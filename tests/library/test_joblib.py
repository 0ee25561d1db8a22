"""joblib on the swarm: what is written for it runs unchanged, scikit-learn's searches among it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

import ctorrent
from ctorrent.embedded import Swarm
from ctorrent.library import joblib_backend
from examples.demo import prepare_environments

joblib = pytest.importorskip("joblib")
pytestmark = [pytest.mark.real, pytest.mark.slow]  # scikit-learn is imported by each process that runs batches


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    with ctorrent.swarm(1, environments=prepare_environments()) as made:
        ctorrent.register_joblib()
        ctorrent.register_joblib()
        yield made


def squared(x: int) -> int:
    return x * x


def inverse(x: int) -> float:
    return 1 / x


def test_calls_run_on_the_swarm_and_errors_come_back(swarm: Swarm) -> None:
    with joblib.parallel_config("ctorrent", net=swarm.net):
        assert joblib.Parallel()(joblib.delayed(squared)(x) for x in range(20)) == [x * x for x in range(20)]
        assert sorted(joblib.Parallel(return_as="generator_unordered")(joblib.delayed(squared)(x) for x in range(5))) == [0, 1, 4, 9, 16]
        with pytest.raises(ZeroDivisionError):
            joblib.Parallel(n_jobs=2)(joblib.delayed(inverse)(x) for x in (1, 0))
        assert swarm.net.jobs()[0]["state"] in ("cancelled", "failed"), "nobody reads the rest"
    assert sum(job["settled"] for job in swarm.net.jobs() if job["name"] == "batch") > 0


def test_a_notebooks_filters_of_warnings_ask_for_no_package_of_its_own() -> None:
    delayed = pytest.importorskip("sklearn.utils.parallel").delayed
    function, _, _ = delayed(squared)(3)
    given = [("default", None, pytest.PytestWarning, None, 0), ("error", None, DeprecationWarning, None, 0)]
    function = function.with_config_and_warning_filters({"assume_finite": True}, given)
    assert [each[2] for each in joblib_backend._without_the_notebooks(function).warning_filters] == [DeprecationWarning]
    assert function.warning_filters == given and joblib_backend._without_the_notebooks(squared) is squared


def test_a_grid_search_finds_what_it_finds_here(swarm: Swarm) -> None:
    pytest.importorskip("sklearn")
    program = textwrap.dedent("""
        import ctorrent, joblib
        from sklearn.datasets import load_iris
        from sklearn.model_selection import GridSearchCV
        from sklearn.svm import SVC
        ctorrent.register_joblib()
        X, y = load_iris(return_X_y=True)
        search = GridSearchCV(SVC(), {"C": [0.1, 10]}, cv=2)
        here = dict(search.fit(X, y).cv_results_)
        with ctorrent.connect() as net, joblib.parallel_config("ctorrent"):
            there = search.fit(X, y).cv_results_
            blocks = sum(job["settled"] for job in net.jobs() if job["name"] == "batch")
        print(list(here["mean_test_score"]) == list(there["mean_test_score"]), search.best_params_, blocks > 0)
    """)
    environ = {**os.environ, "CTORRENT_DATA": str(swarm.members[0].process.data_dir)}
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, env=environ, check=False)
    assert ran.stdout.startswith("True") and ran.stdout.strip().endswith("True"), ran.stdout + ran.stderr
