"""Results that are pickles: opened only where their person asked for it, and only from machines of that person's own.

To open a pickle is to run what its maker wrote. So whose machine it came from is not read in the result: the node that
requested the job knows who ran each block, and which owner's certificate that machine showed.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ctorrent import canon
from ctorrent.errors import LocalError
from ctorrent.library.inside import PICKLE, TYPE
from ctorrent.library.job import decode_value
from ctorrent.library.values import read_value

if TYPE_CHECKING:
    from ctorrent.client import Net

_BEGINS = b"\x82" + canon.encode(TYPE) + canon.encode(PICKLE)  # a map of two whose first pair says so: of one value there is one form


def wanted(pickled: str) -> bool:
    """Of the option `pickled`. Raises LocalError for a word that is none of its."""
    if pickled not in ("", "own"):
        raise LocalError(f"pickled is {pickled!r:.40}, and must be 'own' or left out.", "'own': pickled results from your own machines, and from nobody else's.")
    return pickled == "own"


class Own:
    """Reads the results of one job."""

    def __init__(self, net: Net, job: str) -> None:
        self._net, self._job = net, job
        self._mine: frozenset[str] = frozenset()  # nodes of our own that take part in it

    def value(self, row: Mapping[str, Any], pickles: bool) -> Any:
        """A row's result. pickles: open one that is a pickle of our own.

        Raises LocalError: it is a pickle and may not be opened, or no result that can be read.
        """
        raw: bytes = row["value"]
        if not raw.startswith(_BEGINS):
            return read_value(raw)
        if not pickles:
            raise LocalError("The result is a pickle, and pickles are not opened unless you say so.", "net.map(…, pickled=\"own\"), or of a job that was found again: job.pickled = \"own\".")
        if not self._is_own(row["workers"]):
            raise LocalError(
                "The result is a pickle from a machine that is not yours, and was not opened: it could run anything here.",
                "Results of other people's machines are data: ctorrent.register(type, encode, decode).",
            )
        return opened(decode_value(raw).get("value"))

    def _is_own(self, workers: list[str]) -> bool:
        """Did nobody but nodes of our own run it, as our node knows them?"""
        if not self._mine.issuperset(workers):
            own = self._net.status()["owner"]
            self._mine = frozenset(worker["node"] for worker in self._net.job(self._job)["workers"] if worker["owner"] == own)
        return bool(workers) and self._mine.issuperset(workers)


def opened(data: Any) -> Any:
    """What was pickled on a machine of our own. Raises LocalError where it cannot be opened here."""
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # what is pickled may raise anything when it is opened
        raise LocalError(f"A pickled result cannot be opened here: {type(error).__name__}: {error!s:.200}.", "Are the packages that it is made with installed here, in the same versions?") from error


class _Unpickler(pickle.Unpickler):
    """Where calls run, cloudpickle is cut in two (opener.py); here it is one."""

    def find_class(self, module: str, name: str) -> Any:
        return super().find_class("cloudpickle.cloudpickle" if module == "cloudpickle.whole" else module, name)
