"""This node: what it is, what it lends, what it keeps."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.background import BackgroundTask

from ctorrent.door import Door
from ctorrent.web.forms import Environment, Sharing
from ctorrent.web.jsonable import Json
from ctorrent.web.said import items, of, rows


def router(door: Door) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["node"])

    @routes.get("/status", summary="What this node is and does", responses=of("NodeStatus"))
    async def status() -> Json:
        return Json(await door.status())

    @routes.get("/machine", summary="This machine now, and in the last minutes", responses=of("MachineNow"))
    async def machine() -> Json:
        return Json(await door.machine())

    @routes.put("/machine/sharing", summary="Lend this machine, or stop at once", responses=of("MachineNow"))
    async def share(wanted: Sharing) -> Json:
        """Off: blocks that run here are handed back and the machine is free within two seconds."""
        return Json(await door.share(wanted.on))

    @routes.get("/pool", summary="This machine and the connected peers, added up", responses=of("Pool"))
    async def pool() -> Json:
        return Json(await door.pool())

    @routes.get("/hardware", summary="What this machine is made of")
    async def hardware() -> Json:
        return Json(await door.hardware())

    @routes.post("/hardware/measure", summary="Measure how fast this machine is: takes seconds")
    async def measure() -> Json:
        return Json(await door.hardware(True))

    @routes.get("/environments", summary="Environments that blocks can run in here", responses=rows(""))
    async def environments() -> Json:
        return items(await door.environments())

    @routes.post("/environments", status_code=201, summary="Make an environment with packages: takes minutes")
    async def add_environment(wanted: Environment) -> Json:
        return Json(await door.environment_add(wanted.name, wanted.packages), 201)

    @routes.post("/gc", summary="Remove what nothing needs any more, or only count it", responses=rows(""))
    async def collect(dry_run: Annotated[bool, Query(description="only count")] = False) -> Json:
        return items(await door.gc(dry_run))

    @routes.post("/drain", summary="Take no more blocks, end what runs, then stop; again: how far that is")
    async def drain() -> Json:
        return Json(await door.drain())

    @routes.post("/stop", status_code=202, summary="Stop this node now")
    async def stop() -> Json:
        """The answer comes before the end."""
        return Json({"stopping": True}, 202, background=BackgroundTask(door.stop))

    return routes
