"""Serve a Door at a place: what `ctorrent node` starts beside the control channel."""

from __future__ import annotations

from typing import Any

import trio

from ctorrent.door import Door
from ctorrent.web.app import Choices, make_app
from ctorrent.web.place import Place
from ctorrent.web.serving import Server


async def serve(place: Place, choices: Choices, door: Door, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
    """Until cancelled. started() gives {"http": its address, "http_note": what a person should know of it, or ""}."""
    try:
        context, note = None, place.note
        if place.secure:
            from ctorrent.web import certificate

            context, fingerprint = certificate.context(choices.folder, place.host)
            note = f"{note} Its certificate is its own; compare: SHA-256 {fingerprint}".strip()
        server = Server(make_app(door, place, choices), place, choices.rules, context)
        async with trio.open_nursery() as nursery:
            await nursery.start(server.run)
            place.publish()
            task_status.started({"http": place.url, "http_note": note})
    finally:
        place.release()
