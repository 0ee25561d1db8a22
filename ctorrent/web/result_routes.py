"""A job's results: rows in pages or as they come, single values, the reduced answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Annotated, Any, cast

import trio
from fastapi import APIRouter, Path, Query, Response

from ctorrent.door import Door, Plain
from ctorrent.web.forms import Job, Limit
from ctorrent.web.jsonable import Json, decoded, text_of
from ctorrent.web.problems import Problem
from ctorrent.web.said import BYTES, EVENTS, raw
from ctorrent.web.streams import Events, Streams, event

INDEX_MAX = 1 << 40
VALUE_MAX = 4 << 20  # bytes of a value that is shown as JSON; a larger one is fetched by itself
PAGE_MAX = 8 << 20  # bytes of values after which a page ends
INLINE = 64 << 10  # bytes that are decoded on the spot, in about a millisecond; more in a thread


def router(door: Door, streams: Streams) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/jobs/{job}", tags=["results"])

    @routes.get("/results", summary="Blocks with their values, in index order")
    async def results(job: Job, after: Annotated[int, Query(ge=-1, le=INDEX_MAX, description="the index of the last row of the page before")] = -1, limit: Limit = 100) -> Response:
        """Values as the top of ctorrent/web/jsonable.py says: {"$array": …}, {"$bytes": …}. One longer than 4 MiB is null with `value_bytes`. `seed` is text."""
        found, more = await _page(door, job, after, limit)
        size = sum(map(_size, found))
        make = partial(_rows_text, found, found[-1]["index"] if more else None)
        text = make() if size <= INLINE else await trio.to_thread.run_sync(make)
        return Response(text, media_type="application/json")

    @routes.get("/outcomes", summary="Blocks with their values as each ends, as server-sent events", **raw(EVENTS))
    async def outcomes(job: Job) -> Response:
        """Each event is {"rows", "state", "reason"}, until the job ends; the last is named `end`. Rows are those of `results`, without `params`: first the blocks
        that have ended, then each once. An event without rows says that the job paused, or that it goes on."""
        await door.job(job)  # such a job there is not: an error, not a stream
        return Events(partial(_ends, door, job), streams)

    @routes.get("/results/{index}/value", summary="One block's value as it was signed: canonical bytes", **raw(BYTES))
    async def value(job: Job, index: Annotated[int, Path(ge=0, le=INDEX_MAX)]) -> Response:
        found = await door.results(job, index - 1, 1)
        if not found or found[0]["index"] != index or found[0].get("value") is None:
            raise Problem(404, f"Block {index} of this job has no value.", f"GET /api/v1/jobs/{job[:60]}/results lists those that have.")
        return Response(found[0]["value"], media_type="application/octet-stream")

    @routes.get("/answer", summary="The reduced answer, or why there is none yet")
    async def answer(job: Job) -> Json:
        return Json(_shown(await door.answer(job)))

    return routes


async def _page(door: Door, job: str, after: int, limit: int) -> tuple[list[Plain], bool]:
    """Rows, and whether more follow. Asked for in growing steps: large values never lie in memory all at once."""
    found: list[Plain] = []
    size, step = 0, 16
    while len(found) < limit and size < PAGE_MAX:
        asked = min(step, limit - len(found))
        more = await door.results(job, after, asked)
        found += more
        size += sum(map(_size, more))
        if len(more) < asked:
            return found, False
        after, step = more[-1]["index"], step * 4
    return found, bool(found)


async def _ends(door: Door, job: str) -> AsyncIterator[bytes]:
    async with aclosing(cast(AsyncGenerator[Plain, None], door.outcomes(job))) as stream:
        async for item in stream:
            make = partial(_ends_event, item)
            yield make() if sum(map(_size, item["rows"])) <= INLINE else await trio.to_thread.run_sync(make)


def _ends_event(item: Plain) -> bytes:
    return event({**item, "rows": [_shown({key: value for key, value in row.items() if key != "params"}) for row in item["rows"]]})


def _size(row: Plain) -> int:
    return 200 + len(row.get("value") or b"") + len(row.get("params") or b"")


def _rows_text(found: list[Plain], following: int | None) -> str:
    return text_of({"items": [_shown(row) for row in found], "next": following})


def _shown(row: Plain) -> dict[str, Any]:
    """A row with its values decoded."""
    made = dict(row)
    if "seed" in made:
        made["seed"] = str(made["seed"])  # 64 bits: JavaScript would round them
    for name in ("params", "value"):
        raw = row.get(name)
        if isinstance(raw, bytes):
            made[name] = decoded(raw) if 0 < len(raw) <= VALUE_MAX else {} if name == "params" else None
            if len(raw) > VALUE_MAX:
                made["value_bytes"] = len(raw)
    return made
