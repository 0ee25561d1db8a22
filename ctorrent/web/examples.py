"""What the main calls answer, for the OpenAPI document: one value for each. A test holds them against a real node's answers."""

from __future__ import annotations

from typing import Any

_NODE = "12D3KooWQNmdPjJ6XhdWo69Xy1CyBFLA5gJQDkZVXyKT54Baev8i"
_OWNER = "own_95FTnVYww5oGdmoSqrcRcYMf4CQFtrKSPU4GCSE7LUhQ"
_WORKER = {
    "node": _NODE, "name": "ann", "owner": _OWNER, "isolation": "docker", "state": "engaged", "running": [], "done": 3, "agreed": 3,
    "disputed": 0, "invalid": 0, "busy_s": 0.42, "local": False,
}  # fmt: skip
_JOB = {
    "job": "k3f9abcd", "id": "52c4" * 16, "name": "squares", "state": "settled", "reason": "", "blocks": 3, "waiting": 0, "running": 0,
    "provisional": 0, "settled": 3, "failed": 0, "disputed": 0, "replicas_done": 6, "replicas_wanted": 2, "submitted_unix": 1789000000,
    "elapsed_s": 1.8, "eta_s": 0.0, "cross_validated": True, "notes": [], "workers": [_WORKER], "failures": [],
}  # fmt: skip
_REPORT = {
    "wall_s": 1.8, "block_s": 0.4, "all_s": 0.8, "speedup": 0.22, "machine_cores": 8, "isolation": {"docker": 6}, "gaps": [], "disputes": [],
    "disputes_total": 0, "entries": 2, "assignments": 4, "expired": 0, "coalesce": True,
    "why": {"job": "k3f9abcd", "state": "settled", "waits_for": "2 peers saw it: 2 are engaged", "saw": 2, "reasons": {}, "engaged": 2},
}  # fmt: skip
_ROW = {
    "index": 0, "params": {"x": 1}, "seed": "8129034411257812345", "state": "settled", "value": {"y": 1}, "workers": [_NODE], "agreed": 2,
    "seconds": 0.14, "output": None,
}  # fmt: skip
_MACHINE = {
    "cpu": 0.31, "cores": 8, "memory_used": 6_200_000_000, "memory_bytes": 16_000_000_000, "gpus": [], "temperature_c": 54.0,
    "net_in_bytes_s": 1200.0, "net_out_bytes_s": 800.0, "disk_free_bytes": 410_000_000_000, "sharing": True, "slots": 4, "slots_free": 3,
    "lends": {"cores": 4, "memory_bytes": 8_000_000_000, "gpus": 0, "disk_bytes": 20_000_000_000, "work_for": "friends"},
    "works_for": [{"owner": _OWNER, "name": "ann", "job": "m2p7wxyz", "blocks": 1, "since_s": 12.5}],
    "earned_credits": 3.2, "history": [[1789000000.0, 0.31, 0.39, 1200.0, 800.0, 0.0]],
}  # fmt: skip
_POOL = {
    "machines": 4, "cores": 28, "cores_free": 20, "memory_bytes": 64_000_000_000, "gpu_memory_bytes": 32_000_000_000, "gpus": 2,
    "disk_bytes": 410_000_000_000, "slots": 28, "slots_free": 20,
}  # fmt: skip
_TRAINING = {
    "id": "8d3c6f2a9b10", "status": "running", "progress": 42.5, "words": "epoch 5 of 10: 1 of 4 blocks", "model": "softmax",
    "dataset": "iris.csv", "epochs": 10, "asked_unix": 1789000000.0, "error": "", "hint": "",
}  # fmt: skip
_TRAINED = {
    "id": "8d3c6f2a9b10", "accuracy": 0.966, "hash": "9e07" * 16, "cross_validated": True, "epochs": 10, "features": 4, "rows": 150,
    "rows_held_out": 30, "classes": ["setosa", "versicolor", "virginica"], "model_file": "/home/me/.local/share/ctorrent/trainings/8d3c6f2a9b10/model.canon",
}  # fmt: skip

ANSWERS: dict[tuple[str, str], Any] = {  # (method, path) -> the body of its 2xx
    ("get", "/api/v1/jobs"): {"items": [_JOB], "next": "k3f9abcd", "total": 137},
    ("post", "/api/v1/jobs"): {"job": "k3f9abcd"},
    ("get", "/api/v1/jobs/{job}"): _JOB | {"report": _REPORT},
    ("get", "/api/v1/jobs/{job}/results"): {"items": [_ROW], "next": None},
    ("get", "/api/v1/machine"): _MACHINE,
    ("get", "/api/v1/pool"): _POOL,
    ("post", "/submit-job"): {"id": "8d3c6f2a9b10"},
    ("get", "/job-status"): _TRAINING,
    ("get", "/results"): _TRAINED,
    ("get", "/api/v1/trainings"): {"items": [_TRAINING], "next": None},
}

PROBLEMS: dict[int, tuple[str, str, str]] = {  # status -> what is wrong, what to do, the class of errors.py where it is one
    400: ("a job that has ended cannot be paused: job k3f9abcd is settled", "", "LocalError"),
    401: ("No token was shown.", "ctorrent token prints the token, for the header Authorization: Bearer …", ""),
    404: ("there is no job 'k3f9' here", "`ctorrent jobs` lists them.", "LocalError"),
    409: ("This training is at 42 %: epoch 5 of 10: 1 of 4 blocks", "Ask again when /job-status?id=8d3c6f2a9b10 says done.", ""),
    413: ("This body is longer than 4,194,304 bytes.", "", ""),
    422: ("job.yaml:2: python: there is no file work.py", "Send it beside job.yaml.", "JobFileError"),
    429: ("These are more calls than this node answers in a second.", "Wait as long as Retry-After says.", ""),
    503: ("64 event streams are open here already.", "Close a page, or ask without a stream.", ""),
}
