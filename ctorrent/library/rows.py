"""net.jobs, net.peers, net.offers: to be called, to be gone through, to be looked into by name, and as a table.

    net.jobs()            # rows, newest first: what the Door answers
    net.jobs["k3f9"]      # one of them, to wait for and to read: after a restart of the notebook too
    net.peers.table()     # a pandas DataFrame where pandas is installed
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ctorrent.errors import LocalError
from ctorrent.library.job import state_words
from ctorrent.model.series import newest_of_series

if TYPE_CHECKING:
    from ctorrent.client import Net
    from ctorrent.library.mapping import MapResult

Plain = dict[str, Any]
SHOWN_MAX = 20  # rows of a repr; the table has all


class Rows:
    """Rows of one kind, asked for anew each time. `key`: what a row is called by people, `ids`: by machines."""

    method, key, ids = "", "name", "node"
    shown: tuple[str, ...] = ()

    def __init__(self, net: Net) -> None:
        self._net = net

    def __call__(self) -> list[Plain]:
        return self._net._rows(self.method)

    def __len__(self) -> int:
        return len(self())

    def __iter__(self) -> Iterator[Any]:
        return iter(self())

    def __getitem__(self, which: str | int) -> Any:
        """A row by its place, its name, or the beginning of its id. Raises LocalError: there is none, or several."""
        rows = self()
        if isinstance(which, int):
            return rows[which]
        found = [row for row in rows if row[self.key] == which] or [row for row in rows if str(row[self.ids]).startswith(which)]
        if len(found) == 1:
            return found[0]
        names = ", ".join(sorted(str(row[self.key] or row[self.ids][-8:]) for row in rows)[:SHOWN_MAX]) or "none"
        raise LocalError(f"{which!r:.80} names {len(found) or 'none'} of the {self.method} here.", f"There is: {names}.")

    def __contains__(self, which: object) -> bool:
        return any(which in (row[self.key], row[self.ids]) for row in self())

    def table(self) -> Any:
        """All rows as a pandas DataFrame where pandas is installed, else as a dict of columns."""
        from ctorrent.library.table import columns, frame

        rows = self()
        return frame((list(range(len(rows))), columns(rows)))

    def _cell(self, row: Plain, name: str) -> str:
        value = row.get(name)
        if name == "name" and not value:  # nobody gave it one
            return f"…{row[self.ids][-8:]}"
        return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

    def __repr__(self) -> str:
        rows = self()
        cells = [self.shown, *([self._cell(row, name) for name in self.shown] for row in rows[:SHOWN_MAX])]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
        more = [f"… and {len(rows) - SHOWN_MAX} more"] if len(rows) > SHOWN_MAX else []
        return "\n".join([f"{len(rows)} {self.method if len(rows) != 1 else self.method[:-1]}", *(lines if rows else ()), *more])


class Jobs(Rows):
    """Jobs of this node, newest first. Going through them, or looking one up, gives MapResults: see there."""

    method, key, ids, shown = "jobs", "name", "job", ("job", "name", "state", "blocks")
    newest = staticmethod(newest_of_series)  # of rows, those that stand for a training: without its earlier epochs that went well

    def __call__(self, after: str = "", limit: int = 0) -> list[Plain]:
        """status.JobStatus of each; at most `limit` of them (0: all), after the one of that name."""
        return self._net._rows("jobs", after, limit)

    def _cell(self, row: Plain, name: str) -> str:
        return state_words(row) if name == "state" else super()._cell(row, name)

    def __iter__(self) -> Iterator[MapResult[Any]]:
        return (self[row["job"]] for row in self())

    def __getitem__(self, which: str | int) -> MapResult[Any]:
        """A job by its id, the beginning of that, its name, or its place: 0 is the newest. Its results can be read."""
        from ctorrent.library.mapping import reattached

        return reattached(self._net, which if isinstance(which, str) else str(self()[which]["job"]))


class Peers(Rows):
    """Other machines: status.PeerRow."""

    method, shown = "peers", ("name", "connected", "friend", "latency_s")


class Offers(Rows):
    """What machines lend, this one's own first: live.OfferRow."""

    method, shown = "offers", ("name", "cores", "slots_free", "price", "isolation")
