"""A file of calls, as the library writes it and the planner reads it: params and, where they are large, a payload.

Each record: u32 bytes of params, u64 bytes of the payload (both big-endian), the params (a canonical map), the payload.
A payload is the block's input PAYLOAD_NAME; 0 bytes: it has none.
"""

from __future__ import annotations

import struct

HEAD = struct.Struct(">IQ")
PARAMS_BYTES_MAX = 64 << 10  # as plan/blocks.py takes; a larger number is no head
PAYLOAD_NAME = "arguments"


def call_record(params: bytes, payload: bytes) -> bytes:
    """One call. params: a canonical map."""
    return HEAD.pack(len(params), len(payload)) + params + payload
