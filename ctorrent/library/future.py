"""What net.submit gives: a concurrent.futures.Future that knows where its call is."""

from __future__ import annotations

import concurrent.futures
from typing import Any

from ctorrent.library.failures import CallFailed


class Future(concurrent.futures.Future[Any]):
    """A call on its way. All of concurrent.futures works with it: wait, as_completed, asyncio.wrap_future …

    job, index: the job and the block that the call became; "" and -1 until it was handed over. Until then cancel()
    works; from then on the call is running() and its end is awaited. result() raises what the call raised: a
    CallFailed, which is of the original built-in type as well, with the traceback from the machine that ran it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.job, self.index = "", -1

    def traceback(self, timeout: float | None = None) -> str:
        """The traceback where the call failed, as text; "" for a call that did not. Waits, as exception() does."""
        error = self.exception(timeout)
        return error.text if isinstance(error, CallFailed) else ""
