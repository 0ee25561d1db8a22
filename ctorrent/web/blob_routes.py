"""Files that were uploaded to the node's store, for jobs to read."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse

from ctorrent.door import Door
from ctorrent.web.forms import NAME_MAX
from ctorrent.web.jsonable import Json
from ctorrent.web.problems import Problem
from ctorrent.web.said import BYTES, items, of, raw, rows
from ctorrent.web.uploads import Waiting

_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


def router(door: Door, waiting: Waiting) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/blobs", tags=["blobs"])

    @routes.get("", summary="What was uploaded, newest first", responses=rows("BlobRow"))
    async def blobs() -> Json:
        return items(await door.blobs())

    @routes.post("", status_code=201, summary="Upload a file, of any size that the disk has room for", responses=of("BlobRow", 201), openapi_extra=_BODY)
    async def upload(request: Request, name: Annotated[str, Query(max_length=NAME_MAX, description="what to call it")] = "") -> Json:
        """The body is the file itself. It is kept until it is removed."""
        if not name.isprintable():
            raise Problem(422, "name: holds what cannot be printed.")
        async with waiting.file(request) as path:
            return Json(await door.blob_add(str(path), name), 201)

    @routes.get("/{which}", summary="Download one, by name or hash", **raw(BYTES))
    async def download(which: str) -> Response:
        found = await door.blob_find(which)
        return FileResponse(found["path"], media_type="application/octet-stream", filename=found["name"] or found["hash"])

    @routes.delete("/{which}", summary="Keep one no longer", responses=of("BlobRow"))
    async def remove(which: str) -> Json:
        return Json(await door.blob_remove(which))

    return routes
