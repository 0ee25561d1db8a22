"""Who is there, whose they are, who may come; what they offer and how they stand."""

from __future__ import annotations

import io
from typing import Annotated

from fastapi import APIRouter, Query, Response

from ctorrent.door import Door
from ctorrent.web.forms import Address, Invite, Person, Who
from ctorrent.web.jsonable import Json
from ctorrent.web.problems import Problem
from ctorrent.web.said import items, rows

CODE_CHARS_MAX = 2900  # what the largest QR code holds, byte by byte, at its lowest error correction


def router(door: Door) -> APIRouter:
    routes = APIRouter(prefix="/api/v1", tags=["people"])

    @routes.get("/peers", summary="Nodes that are known, connected or not", responses=rows("PeerRow"))
    async def peers() -> Json:
        return items(await door.peers())

    @routes.post("/peers", status_code=201, summary="Connect, by an invite or an address")
    async def connect(wanted: Address) -> Json:
        return Json(await door.connect(wanted.address), 201)

    @routes.post("/invites", status_code=201, summary="Make a line of text that lets others in as friends")
    async def invite(wanted: Invite) -> Json:
        return Json({"invite": await door.invite(wanted.uses, wanted.valid_s)}, 201)

    @routes.get("/invites/code", summary="A text as a QR code: rows of 0 and 1")
    async def code(text: Annotated[str, Query(min_length=1, max_length=CODE_CHARS_MAX)]) -> Json:
        import segno

        try:
            made = segno.make(text, error="l", micro=False)
        except ValueError as error:  # segno's DataOverflowError
            raise Problem(413, "This text is too long for a QR code.", "Send the line itself.") from error
        out = io.StringIO()
        made.save(out, kind="txt", border=0)
        return Json({"rows": out.getvalue().split()})

    _friends(routes, door)
    _standing(routes, door)
    return routes


def _friends(routes: APIRouter, door: Door) -> None:
    @routes.get("/friends", summary="Owners whose jobs may run here, and those who ask to be", responses=rows("FriendRow"))
    async def friends() -> Json:
        return items(await door.friends())

    @routes.post("/friends", status_code=201, summary="Make somebody a friend, or accept who asked")
    async def befriend(wanted: Person) -> Json:
        return Json(await door.friend_add(wanted.who), 201)

    @routes.delete("/friends/{who}", status_code=204, summary="Somebody is no friend any more, or is declined")
    async def unfriend(who: str) -> Response:
        await door.friend_remove(who)
        return Response(status_code=204)


def _standing(routes: APIRouter, door: Door) -> None:
    @routes.get("/offers", summary="What this machine and each peer lend", responses=rows("OfferRow"))
    async def offers() -> Json:
        return items(await door.offers())

    @routes.get("/reputation", summary="How nodes stand here; of one, with the votes behind it", responses=rows("ReputationRow"))
    async def reputation(who: Who = "") -> Json:
        return items(await door.reputation(who))

    @routes.get("/credit", summary="Who worked for whom; of one person, with the receipts", responses=rows("CreditRow"))
    async def credit(who: Who = "") -> Json:
        return items(await door.credit(who))
