"""The ledger that this node holds: its entries, their check, files of them."""

from __future__ import annotations

import base64
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query

from ctorrent.door import Door
from ctorrent.errors import Malformed
from ctorrent.web.forms import Entries, Limit, Who
from ctorrent.web.jsonable import Json
from ctorrent.web.said import BYTES, items, raw, rows
from ctorrent.web.streams import Download, begun

POSITION_MAX = 1 << 40  # entries: far more than a disk holds


def router(door: Door) -> APIRouter:
    routes = APIRouter(prefix="/api/v1/ledger", tags=["ledger"])

    @routes.get("", summary="Entries, in the order author, incarnation, number", responses=rows("LedgerRow", paged=True))
    async def ledger(after: Annotated[int, Query(ge=0, le=POSITION_MAX, description="entries to skip")] = 0, limit: Limit = 100) -> Json:
        found = await door.ledger(after, limit)
        return items(found, found[-1]["position"] if len(found) == limit else None)

    @routes.get("/verify", summary="Check every chain held: authors, entries, forks, gaps")
    async def verify() -> Json:
        return Json(await door.ledger_verify())

    @routes.get("/export", summary="A file of signed entries", **raw(BYTES))
    async def export(ring: Annotated[str, Query(max_length=200, description="public, or a swarm's or friends' root")] = "", author: Who = "") -> Download:
        return await begun(partial(door.ledger_export, ring, author), "ctorrent.ledger")

    @routes.post("/import", summary="Take in entries of such a file")
    async def take_in(wanted: Entries) -> Json:
        try:
            entries = [base64.b64decode(text, validate=True) for text in wanted.entries]
        except ValueError:  # binascii.Error is one
            raise Malformed("An entry is not base64.") from None
        return Json(await door.ledger_import(entries))

    return routes
