"""Namespaces and a private root, where the kernel lets us."""

from __future__ import annotations

from typing import Any, Dict


def raise_walls(spec: Dict[str, Any]) -> int:
    """-> which walls stand (frames.WALL_*)."""
    return 0
