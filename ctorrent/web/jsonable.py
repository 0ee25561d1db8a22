"""Maps of the door and canonical values as JSON.

A map of the door comes as it is, its bytes as hex. In values, what JSON cannot say is a map with one key that begins
with "$": {"$bytes": base64}, {"$float": "nan" | "inf" | "-inf"}, {"$int": digits} beyond 2**53, where JavaScript would
round, and {"$array": {"dtype", "shape", "values"}} with nested lists, or "bytes" (base64, C order, little-endian)
instead of "values" where it is large or of complex numbers. A program's own map with such a key comes as
{"$map": [[key, value], …]}.
"""

from __future__ import annotations

import base64
import json
import math
from typing import Any

from fastapi.responses import Response

from ctorrent import canon

ARRAY_LISTED_MAX = 10_000  # elements that come as nested lists: about 200 KB of digits
EXACT = 1 << 53


class Json(Response):
    """Plain maps of the door. Numbers that are none (a rate of nothing) come as null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return text_of(content).encode()


def text_of(content: Any) -> str:
    try:
        return _dumps(content)
    except ValueError:  # NaN or infinite
        return _dumps(_finite(content))


def _dumps(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_hex)


def _hex(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def decoded(raw: bytes) -> Any:
    """A canonical value, shown."""
    return shown(canon.decode(raw))


def shown(value: Any) -> Any:
    """As the top of this file says."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if -EXACT <= value <= EXACT else {"$int": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": "nan" if value != value else "inf" if value > 0 else "-inf"}
    if isinstance(value, bytes | bytearray):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list | tuple):
        return [shown(one) for one in value]
    if isinstance(value, dict):
        if any(key.startswith("$") for key in value):
            return {"$map": [[key, shown(one)] for key, one in value.items()]}
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, canon.Array):
        return {"$array": _array(value)}
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _array(value: canon.Array) -> dict[str, Any]:
    head: dict[str, Any] = {"dtype": value.dtype, "shape": list(value.shape)}
    # a side of 0 makes others free: (0, 2**62) holds nothing, and its lists would fill the memory
    if math.prod(max(1, side) for side in value.shape) > ARRAY_LISTED_MAX or value.dtype.startswith("<c"):
        return head | {"bytes": base64.b64encode(value.data).decode()}
    return head | {"values": shown(value.numpy().tolist())}
