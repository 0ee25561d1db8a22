"""POST /submit-job, GET /job-status, GET /results: train something by name, at the root of the server.

And below /api/v1, as everything else: the list of trainings, and the end of one before its time.

    printf 'Authorization: Bearer %s' "$(ctorrent token)" | curl -H @- 127.0.0.1:8420/submit-job \\
         --json '{"model": "softmax", "dataset": "/home/me/iris.csv", "epochs": 10}'
"""

from __future__ import annotations

import os
import pathlib
from functools import partial
from typing import Annotated, Any, NoReturn, Protocol

import trio
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from ctorrent.door import Door, Plain
from ctorrent.errors import LocalError
from ctorrent.web.problems import Problem

EPOCHS_MAX = 1000  # more than any table here needs; each is a job
REPLICAS_MAX = 5  # owners that run a block, as a job file may ask
DATASET_CHARS_MAX = 4096  # the longest path of Linux
ID_CHARS_MAX = 100
_NAMES_MAX = 5  # uploads that an error lists


class Workloads(Protocol):
    """What is trained, and how far: ctorrent.workloads.Desk. Its methods may take a moment: call them in threads."""

    def names(self) -> dict[str, str]: ...

    def refuses(self, model: str) -> tuple[str, str]: ...

    def submit(self, model: str, dataset: str, epochs: int, replicas: int = 2, name: str = "") -> str: ...

    def look(self, run: str) -> Plain | None: ...

    def runs(self) -> list[Plain]: ...

    def cancel(self, run: str) -> Plain | None: ...


class Training(BaseModel):
    """What is to be trained, on what, for how long."""

    model_config = ConfigDict(
        extra="forbid", protected_namespaces=(), json_schema_extra={"examples": [{"model": "softmax", "dataset": "/home/me/iris.csv", "epochs": 10}]}
    )
    model: str = Field(max_length=100, description="a workload: softmax, a classifier")
    dataset: str = Field(min_length=1, max_length=DATASET_CHARS_MAX, description="a path on the node's machine, or the name or hash of an upload: a CSV whose last column is the label")
    epochs: int = Field(ge=1, le=EPOCHS_MAX, strict=True, description="passes over the table")
    replicas: int = Field(2, ge=1, le=REPLICAS_MAX, strict=True, description="owners that run every block; 1 checks nothing, and needs nobody else")


class Submitted(BaseModel):
    id: str


class TrainingStatus(BaseModel):
    """progress: 0 to 100. error and hint: of one that failed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"id": "8d3c6f2a9b10", "status": "running", "progress": 42.5}]}, protected_namespaces=())
    id: str
    status: str = Field(description="waiting, running, done, failed or cancelled")
    progress: float = Field(ge=0, le=100)
    words: str = Field("", description="what happens, for a person")
    model: str = ""
    dataset: str = ""
    epochs: int = 0
    asked_unix: float = 0.0
    error: str = ""
    hint: str = ""


class TrainingResult(BaseModel):
    """accuracy: share of the rows held out that are told right. hash: SHA-256 of the model's canonical bytes."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())
    id: str
    accuracy: float = Field(ge=0, le=1)
    hash: str


class Trainings(BaseModel):
    items: list[TrainingStatus]
    next: None = Field(None, description="always null: this is all")


_ID = Annotated[str, Query(max_length=ID_CHARS_MAX, description="as submit-job answered")]
_ID_OF_PATH = Annotated[str, Path(max_length=ID_CHARS_MAX, description="as submit-job answered", examples=["8d3c6f2a9b10"])]
_PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {}}}


def router(door: Door, workloads: Workloads) -> APIRouter:
    """The three calls over `door` and what it can train."""
    routes = APIRouter(tags=["training"])

    @routes.post("/submit-job", summary="Train a model on a table", responses={404: _PROBLEM, 501: _PROBLEM, 503: _PROBLEM})
    async def submit_job(wanted: Training) -> Submitted:
        """`bert-base` answers whether this swarm could run it: it is not shipped yet."""
        known = workloads.names()
        if wanted.model not in known:
            shipped = "; ".join(f"{name}: {about}" for name, about in known.items())
            raise Problem(422, f"There is no model {wanted.model!r}.", f"There is {shipped}.")
        why, hint = await _in_thread(workloads.refuses, wanted.model)
        if why:
            raise Problem(501, why, hint)
        path, name = await _found(door, wanted.dataset)
        return Submitted(id=await _in_thread(workloads.submit, wanted.model, path, wanted.epochs, wanted.replicas, name))

    @routes.get("/job-status", summary="How far a training is", responses={404: _PROBLEM})
    async def job_status(id: _ID) -> TrainingStatus:  # noqa: A002  the word of the call
        return _status(await _look(workloads, id))

    @routes.get("/results", summary="What a training came to", responses={404: _PROBLEM, 409: _PROBLEM})
    async def results(id: _ID) -> TrainingResult:  # noqa: A002
        found = await _look(workloads, id)
        if found["status"] == "failed":
            raise Problem(409, f"This training failed: {found.get('error') or 'nobody knows why.'}", str(found.get("hint", "")))
        if found["status"] == "cancelled":
            raise Problem(409, "This training was cancelled.", "POST /submit-job begins another.")
        if found["status"] != "done":
            raise Problem(409, f"This training is at {found['progress']:.0f} %: {found.get('words', '')}", f"Ask again when /job-status?id={id} says done.")
        return TrainingResult(id=id, **found["result"])

    @routes.get("/api/v1/trainings", summary="Trainings, newest first: those under way and the last 200 that ended")
    async def trainings() -> Trainings:
        return Trainings(items=[_status(found) for found in await _in_thread(workloads.runs)], next=None)

    @routes.post("/api/v1/trainings/{id}/cancel", summary="End a training, and the job of its epoch", responses={400: _PROBLEM, 404: _PROBLEM})
    async def cancel(id: _ID_OF_PATH) -> TrainingStatus:  # noqa: A002
        found = await _in_thread(workloads.cancel, id)
        return _status(found or _none(id))

    return routes


def _status(found: Plain) -> TrainingStatus:
    shown = {**found, "dataset": found["name"]}  # of an upload the path is of no use to anybody
    return TrainingStatus(**{key: shown[key] for key in TrainingStatus.model_fields if key in shown})


async def _in_thread(call: Any, *args: Any) -> Any:
    return await trio.to_thread.run_sync(partial(call, *args))


async def _look(workloads: Workloads, run: str) -> Plain:
    found: Plain | None = await _in_thread(workloads.look, run)
    return found or _none(run)


def _none(run: str) -> NoReturn:
    raise Problem(404, f"There is no training {run!r} here.", "GET /api/v1/trainings lists them: the last 200 that ended are kept.")


async def _found(door: Door, dataset: str) -> tuple[str, str]:
    """Where a table's bytes are, and what its person calls it. Raises Problem."""
    try:
        upload = await door.blob_find(dataset)
        return str(upload["path"]), str(upload["name"] or dataset)
    except LocalError:  # no upload, so a path
        pass
    if not dataset.startswith(("/", "~")) and not pathlib.Path(dataset).is_absolute():
        raise Problem(404, f"Nothing was uploaded as {dataset!r:.200}.", f"{await _uploads(door)} A path on the node's machine begins with /.")
    if "\0" in dataset:
        raise Problem(422, "A path has no zero byte.")
    path = pathlib.Path(dataset)
    if dataset.startswith("~"):
        path = await trio.to_thread.run_sync(_at_home, path)
    await trio.to_thread.run_sync(_readable, path)
    return os.fspath(path), path.name


async def _uploads(door: Door) -> str:
    names = [str(row["name"] or row["hash"][:16]) for row in (await door.blobs())[:_NAMES_MAX]]
    return f"There is {', '.join(names)}." if names else "There are no uploads: POST /api/v1/blobs sends one in."


def _at_home(path: pathlib.Path) -> pathlib.Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise Problem(404, f"Nobody has the home folder of {os.fspath(path)!r:.200}.", "Give the whole path.") from None


def _readable(path: pathlib.Path) -> None:
    try:
        if not path.is_file():
            raise Problem(404, f"The node sees no file {os.fspath(path)!r:.300}.", "Give the whole path on the node's machine, or the name of an upload.")
        with path.open("rb"):
            pass
    except OSError as error:
        raise Problem(403 if isinstance(error, PermissionError) else 404, f"The node cannot read {os.fspath(path)!r:.300}: {error.strerror}.", "Let its user read the file.") from None
