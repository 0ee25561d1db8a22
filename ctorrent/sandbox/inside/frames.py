"""The bytes between a node and a sandbox. Fixed headers, lengths first, big-endian; no names, no pickles.

Child and node, on one connection per child:
    child  Hello(role CHILD, serial), once it is locked
    node   Unit(mode, count, limits, entry), then per block Block(index, seed, sizes) ‖ params ‖ per file File ‖ bytes
    child  Reply frames in order, then DONE; the node believes no length before comparing it with its limit
Supervisor and node, on the control connection:
    supervisor  Hello(role SUPERVISOR, what walls stand) when the first children are on their way, or TROUBLE ‖ text
    node        End(serial, now?): reap that child, killing it now or after a moment
    supervisor  Ended(serial, wait status, tail of its raw output)
The end of the control connection means the node is gone: everything inside stops.
"""

from __future__ import annotations

import struct

MAGIC = b"CTb1"
HELLO = struct.Struct(">4sBI")  # magic, role, serial or walls
CHILD, SUPERVISOR, TROUBLE = 0, 1, 2

UNIT = struct.Struct(">BBIdH")  # mode, careful?, blocks, seconds a block may take, bytes of entry; then entry
PROGRAM, REDUCE, CHECK, COMPARE = 0, 1, 2, 3
VALUE_NAME = "\0"  # a file's name begins so where it is a value; no input's does
BLOCK = struct.Struct(">QQII")  # index, seed, bytes of params, number of files
FILE = struct.Struct(">HQ")  # bytes of name, bytes of content; then both

REPLY = struct.Struct(">BIddQQ")  # kind, position in the unit, cpu_s, wall_s, peak_bytes, bytes of body; then body
VALUE, FAILURE, LOG, DONE = 1, 2, 3, 4
SAME_ALWAYS = 5  # a VALUE of a block that used neither its seed, nor its index, nor the system's chance: another seed gives it too
CLOCK = 6  # a VALUE of a block that may have read the clock: another day may give another
FAILED = struct.Struct(">BH")  # failure kind (model.result.FailureKind), bytes of type; then type, then text

END = struct.Struct(">IB")  # serial, kill now?
ENDED = struct.Struct(">IiBI")  # serial, wait status, had to be killed?, bytes of tail; then tail

TYPE_BYTES_MAX = 200  # an exception's name
TEXT_BYTES_MAX = 16 << 10  # a traceback's last frames; a person reads a page
TAIL_BYTES_MAX = 4 << 10  # what a crashing process wrote last: "std::bad_alloc", an assertion

# failure kinds, as in model.result.FailureKind, which cannot be imported here
EXCEPTION, EXIT, MEMORY, TIME, OUTPUT, KILLED, FORBIDDEN = 1, 2, 3, 4, 5, 6, 7

EXIT_BROKEN, EXIT_NODE_GONE = 3, 9  # a child's own faults, before it was locked
EXIT_MEMORY = 12  # it could not even receive its block

# walls that stand, as the supervisor reports them
WALL_ROOT, WALL_NET, WALL_PIDS, WALL_SCRATCH, WALL_LANDLOCK = 1, 2, 4, 8, 16


def failed(kind: int, type_name: str, text: str) -> bytes:
    """The body of a FAILURE reply; both texts are cut to their limits, the second at its start."""
    name = type_name.encode("utf-8", "replace")[:TYPE_BYTES_MAX]
    return FAILED.pack(kind, len(name)) + name + text.encode("utf-8", "replace")[-TEXT_BYTES_MAX:]
