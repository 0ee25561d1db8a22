"""The application: routes, errors and the guard around them."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from ctorrent.door import Door
from ctorrent.web import (
    blob_routes,
    job_routes,
    ledger_routes,
    live_routes,
    metrics_routes,
    node_routes,
    openapi,
    page_routes,
    people_routes,
    problems,
    result_routes,
    workload_routes,
)
from ctorrent.web.guard import Guard
from ctorrent.web.hosts import Hosts
from ctorrent.web.place import Place
from ctorrent.web.rules import WebRules
from ctorrent.web.streams import Streams
from ctorrent.web.tokens import Tokens
from ctorrent.web.uploads import Waiting
from ctorrent.web.workload_routes import Workloads

API = "/api/v1"


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person set."""

    folder: Path  # the node's data folder
    rules: WebRules = field(default_factory=WebRules)
    metrics_open: bool = False  # /metrics without the token
    workloads: Workloads | None = None  # what /submit-job trains; None: nothing


def make_app(door: Door, place: Place, choices: Choices) -> Any:
    """An ASGI application over `door`, which is the node's own."""
    tokens = Tokens(choices.folder, choices.rules)
    cookie = f"ctorrent_{place.port}"  # browsers keep one jar for all ports of 127.0.0.1
    rules = choices.rules
    waiting, streams = Waiting(choices.folder, rules.disk_kept_bytes), Streams(rules.streams_max, rules.ping_s)
    app = _open_api()
    problems.install(app, door)
    for routes in (
        job_routes.router(door, rules, waiting, streams), result_routes.router(door, streams), live_routes.router(door, streams),
        node_routes.router(door), people_routes.router(door), ledger_routes.router(door), blob_routes.router(door, waiting),
        metrics_routes.router(door), page_routes.router(tokens, rules, cookie, place.url),
    ):  # fmt: skip
        app.include_router(routes)
    if choices.workloads is not None:
        app.include_router(workload_routes.router(door, choices.workloads))
    openapi.install(app)
    app.mount("/", page_routes.files())
    longer = {f"{API}/blobs": rules.upload_bytes_max, f"{API}/jobs": rules.job_bytes_max, f"{API}/jobs/rehearse": rules.job_bytes_max}
    return Guard(app, tokens, Hosts(place), rules, longer, cookie, choices.metrics_open)


def _open_api() -> FastAPI:
    """Without the pages that FastAPI has scripts from elsewhere for."""
    return FastAPI(
        title="ctorrent", version=version("ctorrent"), openapi_url=f"{API}/openapi.json", docs_url=None, redoc_url=None,
        summary="A node of ctorrent: jobs, peers, this machine, the ledger.",
        description="Every call shows the token that `ctorrent token` prints: `Authorization: Bearer TOKEN`. Errors are problem+json (RFC 9457) with a `hint`.",
    )  # fmt: skip
