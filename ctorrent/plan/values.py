"""Values of a job file that travel to the program as they are."""

from __future__ import annotations

from typing import Any

from ctorrent import canon
from ctorrent.plan.tree import Spot

GIVEN = ("index", "seed", "params", "inputs")  # every block has these names already

# What an editor is told of a map of such values.
PARAMS_SCHEMA: dict[str, Any] = {"type": "object", "propertyNames": {"not": {"enum": list(GIVEN)}}}


def read_params(spot: Spot) -> dict[str, Any]:
    """A map of names to values."""
    if not isinstance(spot.value, dict):
        raise spot.wrong(f"must be a map, such as {{points: 1000000}}, not {spot.kind()}")
    return {name: read_value(value, name) for name, value in spot.value.items()}


def read_value(spot: Spot, name: str = "") -> Any:
    """A value that can be encoded, and is not in the way of what every block has."""
    if name in GIVEN:
        raise spot.wrong(f"{name} is given to every block already", "Take another name.")
    plain = spot.plain()
    try:
        canon.encode(plain)
    except canon.CanonError as error:
        raise spot.wrong(str(error).replace("result", "the value", 1).replace("return it", "write it")) from None
    return plain
