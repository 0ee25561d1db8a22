"""What tests of real processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from .herd import Tended, herd


@pytest.fixture
def make() -> Iterator[Callable[..., Tended]]:
    """Starts nodes of a test's own, which end with it."""
    with herd() as maker:
        yield maker
