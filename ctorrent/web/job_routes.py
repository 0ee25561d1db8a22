"""Jobs: submitted, followed, told what to do."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from ctorrent import canon
from ctorrent.door import Door, Plain
from ctorrent.model.series import newest_of_series
from ctorrent.web.forms import Job, Limit, MoreBlocks, Reason
from ctorrent.web.jsonable import Json, decoded
from ctorrent.web.loglines import Lines
from ctorrent.web.problems import Problem
from ctorrent.web.rules import WebRules
from ctorrent.web.said import BYTES, EVENTS, items, of, raw, rows
from ctorrent.web.streams import Download, Events, Streams, begun
from ctorrent.web.submitting import BODY, lay, unsent_said
from ctorrent.web.uploads import Waiting

VERSION_MAX = 1 << 53  # beyond it JavaScript would round
TOTAL = {"type": "integer", "description": "jobs on all pages together, with those that series=last leaves out"}


def router(door: Door, rules: WebRules, waiting: Waiting, streams: Streams) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/jobs", tags=["jobs"])
    _reading(routes, door, streams)
    _ordering(routes, door)

    @routes.post("", status_code=201, summary="Submit a job", openapi_extra=BODY)
    async def submit(request: Request) -> Json:
        """A job.yaml as text (`application/yaml`); with its files as JSON, a form or a zip. `?options={"replicas":2}` replaces fields."""
        async with waiting.folder() as folder:
            path, text, options = await lay(request, folder, waiting, rules)
            with unsent_said():
                name = await door.submit(str(path), text, options)
        return Json({"job": name}, 201, {"Location": f"/api/v1/jobs/{name}"})

    @routes.post("/rehearse", summary="Run a job's smallest block here, and say what the job will take", openapi_extra=BODY, responses=of("Rehearsal"))
    async def rehearse(request: Request) -> Json:
        """The same body as for submitting; nobody hears of it."""
        async with waiting.folder() as folder:
            path, text, options = await lay(request, folder, waiting, rules)
            with unsent_said():
                found = await door.rehearse(str(path), text, options)
        return Json({**found, "params": decoded(found["params"]) if found["params"] else {}})

    return routes


def _reading(routes: APIRouter, door: Door, streams: Streams) -> None:
    @routes.get("", summary="Jobs that this node requested, newest first", responses=rows("JobStatus", paged=True, total=TOTAL))
    async def jobs(
        after: Annotated[str, Query(max_length=64, description="the id of the last job of the page before")] = "", limit: Limit = 100,
        series: Annotated[Literal["all", "last"], Query(description="last: of settled jobs of a series (a training's epochs: softmax iris.csv 3/12) only the newest")] = "all",
    ) -> Json:  # fmt: skip
        found = await door.jobs(after, limit)
        following = found[-1]["job"] if len(found) == limit else None
        if series == "last":
            found = newest_of_series(found)
        return items([_brief(one) for one in found], following, total=(await door.status())["jobs"])

    @routes.get("/{job}", summary="One job, with its workers and report", responses=of("JobStatus"))
    async def job_status(job: Job) -> Json:
        return Json(await door.job(job))

    @routes.get("/{job}/blocks", summary="Which block is where, or what changed after a version", responses=of("BlockMap"))
    async def blocks(job: Job, since: Annotated[int, Query(ge=-1, le=VERSION_MAX)] = -1) -> Json:
        return Json(await door.blocks(job, since))

    @routes.get("/{job}/timeline", summary="Who computed what when", responses=of("Timeline"))
    async def timeline(job: Job) -> Json:
        return Json(await door.timeline(job))

    @routes.get("/{job}/why", summary="Who saw it, who did not take it and why, what it waits for", responses=of("WhyReport"))
    async def why(job: Job) -> Json:
        return Json(await door.why(job))

    @routes.get("/{job}/watch", summary="How it stands, as it changes, until it ends, as server-sent events", **raw(EVENTS))
    async def watch(job: Job) -> Response:
        """Each event is what GET jobs/{job} answers; the last is named `end`."""
        await door.job(job)  # such a job there is not: an error, not a stream
        return Events(partial(door.watch, job), streams)

    @routes.get("/{job}/logs", summary="What its blocks print, as server-sent events", **raw(EVENTS))
    async def logs(job: Job, follow: Annotated[bool, Query(description="go on until the job ends")] = True) -> Response:
        """Each event is {"index", "worker", "text"} with whole lines, or what there is of one after half a second; the last is named `end`."""
        await door.job(job)  # such a job there is not: an error, not a stream
        return Events(partial(door.logs, job, follow), streams, Lines())

    @routes.get("/{job}/receipt", summary="Its receipt: a file that anybody can check with ctorrent verify", **raw(BYTES))
    async def receipt(job: Job, with_data: Annotated[bool, Query(description="with the answers themselves")] = False) -> Download:
        name = (await door.job(job))["job"]
        return await begun(partial(door.receipt, job, with_data), f"{name}.receipt")


def _ordering(routes: APIRouter, door: Door) -> None:
    async def after_that(job: str) -> Json:
        return Json(_brief(await door.job(job)))

    @routes.post("/{job}/pause", summary="Hand out no more of its blocks", responses=of("JobStatus"))
    async def pause(job: Job) -> Json:
        await door.pause(job)
        return await after_that(job)

    @routes.post("/{job}/resume", summary="Go on with a paused job", responses=of("JobStatus"))
    async def resume(job: Job) -> Json:
        await door.resume(job)
        return await after_that(job)

    @routes.post("/{job}/cancel", summary="End it without a result", responses=of("JobStatus"))
    async def cancel(job: Job, said: Reason | None = None) -> Json:
        await door.cancel(job, said.reason if said else "")
        return await after_that(job)

    @routes.post("/{job}/retry", status_code=201, summary="The same job once more, as a new one")
    async def retry(job: Job) -> Json:
        name = await door.retry(job)
        return Json({"job": name}, 201, {"Location": f"/api/v1/jobs/{name}"})

    @routes.post("/{job}/blocks", status_code=201, summary="Append blocks to a job that was submitted open")
    async def append(job: Job, wanted: MoreBlocks) -> Json:
        try:
            params = [canon.encode(one) for one in wanted.params]
        except canon.CanonError as error:
            raise Problem(422, f"params: {error}.") from None
        inputs = await _digests(door, wanted.inputs) if wanted.inputs else []
        return Json({"first": await door.append(job, params, inputs, wanted.first)}, 201)

    @routes.post("/{job}/seal", status_code=204, summary="No more blocks will be appended")
    async def seal(job: Job) -> Response:
        await door.seal(job)
        return Response(status_code=204)


async def _digests(door: Door, inputs: list[dict[str, str]]) -> list[list[list[str | bytes]]]:
    """As door.append wants them, of uploads by hash or name. Paths are for programs of this machine: what calls may be elsewhere."""
    uploads = await door.blobs()
    known = {row["name"]: row["hash"] for row in reversed(uploads)} | {row["hash"]: row["hash"] for row in uploads}  # of a name the newest
    unknown = next((which for block in inputs for which in block.values() if which not in known), None)
    if unknown is not None:
        raise Problem(404, f"Nothing was uploaded as {unknown!r:.200}.", "POST /api/v1/blobs sends it in; GET /api/v1/blobs lists what is there.")
    return [[[name, bytes.fromhex(known[which])] for name, which in block.items()] for block in inputs]


def _brief(found: Plain) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != "report"}


