"""What a node that knows nobody says, and an invite's QR code."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from ctorrent.cli import show

if TYPE_CHECKING:
    from ctorrent.client import Net

Plain = dict[str, Any]
USES, VALID_S = 4, 86_400  # as node/alone.py: the machines of one evening
QUIET_ZONE = 2  # modules around a QR code; the standard's four are for paper, and cameras read a screen with two


def tell_alone(found: Plain) -> None:
    """On stdout, once. The line to type is printed unbroken: what a terminal wraps by itself is copied as one line."""
    console = show.stdout()
    where = "in another terminal of this machine (it listens here only)" if found["here_only"] else "on the other machine"
    console.print(show.plain(f"Nobody else found in {found['waited_s']:.0f} s. Type this {where}:", "yellow"))
    if found["invite"]:
        print(f"  ctorrent node --join {found['invite']}", flush=True)
        many = f"Good for {show.number(found['uses'], 'machine')}, {show.duration(found['valid_s'])}. "
    else:
        print("  ctorrent node --join INVITE     (the line that `ctorrent invite` prints here)", flush=True)
        many = ""
    console.print(show.plain(f"{many}Not getting through? There: ctorrent doctor INVITE", "dim"))
    sys.stdout.flush()


def tell_others(net: Net) -> None:
    """On stderr, for a job that waits for owners: the line to type on their machines."""
    console = show.stderr()
    here_only = all("/ip4/127." in address or "/ip6/::1/" in address for address in net.status()["addresses"])
    console.print(show.plain(f"Type this {'in another terminal of this machine' if here_only else 'on the other machine'}:", "yellow"))
    print(f"  ctorrent node --join {net.invite(USES, VALID_S)}", file=sys.stderr, flush=True)


def draw(invite: str) -> bool:
    """An invite as a QR code on stderr. -> False, nothing drawn: stderr is no terminal, or it is too narrow or too poor."""
    if not sys.stderr.isatty():
        return False
    import segno

    code = segno.make(invite.upper(), error="l", micro=False)  # capitals and digits take half the room that other text does
    width, _ = code.symbol_size(border=QUIET_ZONE)
    try:
        "█▀▄".encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    if os.get_terminal_size(sys.stderr.fileno()).columns < width:
        return False
    code.terminal(out=sys.stderr, border=QUIET_ZONE, compact=True)
    return True
