"""Is c the product of a and b? Found out for a fraction of the product's own cost, with random probes.

    from ctorrent.verify.freivalds import product_is_right

    def right(output, a, b, draw):                 # a job's `check: judge.py:right`
        return product_is_right(a, b, output, draw)

For a probe x drawn at random, c·x and a·(b·x) cost three products of a matrix and a vector; where c is wrong they
differ, unless x happens to hide it. Integers: modulo 2^64, exactly; a wrong row is missed by one probe in two at the
very most. Floats: Gaussian probes, and a residual that is held, row by row, against the rounding that an honest product
may have. An error far below that is missed; several probes leave p^k of those that one misses with chance p.

Rounding of row i, to first order: eps·(√K·|c_i| + |a_i|·|b|) bounds what K additions in any order leave, the first part
where the sums grow steadily (numbers of one sign), the second where they wander. It takes |c_i| from the c that is
judged: making it larger makes the error larger by far more.

The probes must be secret to whoever made c: draw them from the `draw` that a check is given, never from a block's seed.
This file is also copied alone into sandboxes, where the same import finds it: Python 3.9, standard library; numpy is the
job's own (needs: {packages: [numpy]}). Matrices larger than that are read row by row: no copy of one is made.
Source: Freivalds, "Probabilistic machines can use less running time", IFIP 1977; Gaussian probes: arXiv 1705.10449.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Iterator, Tuple, Union

PROBES = 3  # one alone misses a single slightly wrong entry now and then (python -m tests.benchmarks.freivalds)
TOLERANCE = 4.0  # times that rounding: what was honest stayed below 1.5 for every kind of numbers and order of sums tried
TOLERANCE_DOUBLE = 8.0  # in double precision the check rounds as well
_BLOCK = 1 << 20  # entries at a time: 8 MiB in double precision, and a few of them beside the matrices
_EPS: Dict[str, float] = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "tf32": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}


def product_is_right(a: Any, b: Any, c: Any, draw: int, probes: int = PROBES, precision: str = "", limit: float = 0.0) -> Union[bool, str]:
    """True, or what is wrong in words: as a check answers.

    a, b: the factors, (m, k) and (k, n). c: what is said to be their product, of any origin. draw: what seeds the
    probes. precision: what floats were multiplied in, "float64", "float32", "tf32", "float16" or "bfloat16"; empty: the
    wider of the factors'. limit: what the residual may be, in units of rounding; 0: TOLERANCE, which holds for all kinds
    of numbers. Numbers of both signs stay below 0.5, and a limit of 1 finds smaller errors in them. Raises ValueError where the factors themselves are no two matrices of finite numbers.
    """
    import numpy

    a, b, c = _matrix(a, "a"), _matrix(b, "b"), numpy.asarray(c)
    if a.shape[1] != b.shape[0]:
        raise ValueError("a has %d columns and b has %d rows" % (a.shape[1], b.shape[0]))
    kind = numpy.result_type(a.dtype, b.dtype)
    if c.shape != (a.shape[0], b.shape[1]) or c.dtype != kind:
        return "it is %s %s, where the product is %s %s" % (c.dtype, list(c.shape), kind, [a.shape[0], b.shape[1]])
    if not c.size:
        return True
    if kind.kind in "iub":
        row = _wrong_integers(a, b, c, draw, probes)
        return True if row < 0 else "row %d is not that of the product" % row
    row, times = _worst(a, b, c, draw, probes, precision)
    limit = limit or tolerance(kind, precision)
    return True if times <= limit else "row %d is off by %.3g times what rounding may do" % (row, times / limit)


def residual(a: Any, b: Any, c: Any, draw: int, probes: int = PROBES, precision: str = "") -> float:
    """The largest residual of any row and probe, in units of rounding: what TOLERANCE is held against. Of floats."""
    return _worst(_matrix(a, "a"), _matrix(b, "b"), c, draw, probes, precision)[1]


def tolerance(kind: Any, precision: str = "") -> float:
    """What a residual may be, for this dtype and precision."""
    return TOLERANCE_DOUBLE if _eps(kind, precision) < 1e-12 else TOLERANCE


def _matrix(value: Any, name: str) -> Any:
    import numpy

    value = numpy.asarray(value)
    if value.ndim != 2 or value.dtype.kind not in "biufc":
        raise ValueError("%s is no matrix of numbers but %s %s" % (name, value.dtype, list(value.shape)))
    return value


def _finite(lengths: Any, name: str) -> None:
    import numpy

    if not numpy.isfinite(lengths).all():
        raise ValueError("%s holds NaN, infinity, or numbers whose squares are" % name)


def _eps(kind: Any, precision: str) -> float:
    import numpy

    if precision:
        if precision not in _EPS:
            raise ValueError("precision is %r: use one of %s" % (precision, ", ".join(sorted(_EPS))))
        return _EPS[precision]
    return float(numpy.finfo(kind).eps)


def _rows(matrix: Any) -> Iterator[Tuple[int, Any]]:
    """Rows, some at a time, with the number of the first."""
    step = max(1, _BLOCK // max(1, matrix.shape[1]))
    for start in range(0, matrix.shape[0], step):
        yield start, matrix[start : start + step]


def _worst(a: Any, b: Any, c: Any, draw: int, probes: int, precision: str) -> Tuple[int, float]:
    """The row that is off by the most, and by how much of its scale of rounding."""
    import numpy

    kind = numpy.result_type(a.dtype, b.dtype)
    wide = "c16" if kind.kind == "c" else "f8"
    eps, tiny = _eps(kind, precision), float(numpy.finfo(kind).tiny)
    x = numpy.random.default_rng(draw).standard_normal((b.shape[1], max(1, probes)))
    bx, squares = numpy.empty((b.shape[0], x.shape[1]), wide), 0.0
    with numpy.errstate(all="ignore"):
        for start, part in _rows(b):
            part = part.astype(wide)
            bx[start : start + len(part)] = part @ x
            squares += float(numpy.vdot(part, part).real)
    _finite(squares, "b")
    length, inner = math.sqrt(squares), max(1, a.shape[1])
    floor = tiny * inner * math.sqrt(b.shape[1])  # what vanished below the smallest number
    worst, row = 0.0, 0
    with numpy.errstate(all="ignore"):
        for start, part in _rows(a):
            part = part.astype(wide)
            rows, said = numpy.empty(len(part)), numpy.empty((len(part), x.shape[1]), wide)
            for at, some in _rows(c[start : start + len(part)]):
                some = some.astype(wide)
                rows[at : at + len(some)], said[at : at + len(some)] = _lengths(some), some @ x
            ours = _lengths(part)
            _finite(ours, "a")
            scale = eps * (math.sqrt(inner) * rows + length * ours) + floor
            off = abs(said - part @ bx).max(axis=1) / scale
            off[~numpy.isfinite(off)] = math.inf  # a c that holds NaN or infinity is no product of finite numbers
            at = int(off.argmax())
            if off[at] > worst:
                worst, row = float(off[at]), start + at
    return row, worst


def _lengths(rows: Any) -> Any:
    import numpy

    return numpy.sqrt(numpy.einsum("ij,ij->i", rows, rows.conj()).real)


def _wrong_integers(a: Any, b: Any, c: Any, draw: int, probes: int) -> int:
    """A row that is no product's, or -1: modulo 2^64, in which integers of numpy are multiplied."""
    import numpy

    bits = 64 if numpy.result_type(a.dtype, b.dtype).kind != "b" else 0
    if not bits:
        raise ValueError("truth values have no product here: make them integers")
    x = numpy.random.default_rng(draw).integers(0, 1 << 64, size=(b.shape[1], max(1, probes)), dtype="u8")
    mask = numpy.uint64((1 << (8 * c.dtype.itemsize)) - 1)  # narrower ones wrap round earlier
    bx = numpy.concatenate([_wrapped(part) @ x for _, part in _rows(b)]) if b.shape[0] else numpy.zeros((0, x.shape[1]), "u8")
    for start, part in _rows(a):
        said = numpy.concatenate([_wrapped(rows) @ x for _, rows in _rows(c[start : start + len(part)])])
        wrong = (((_wrapped(part) @ bx) ^ said) & mask).any(axis=1)
        if wrong.any():
            return start + int(wrong.argmax())
    return -1


def _wrapped(matrix: Any) -> Any:
    """Integers as their remainders modulo 2^64."""
    return matrix.astype("i8").view("u8") if matrix.dtype.kind == "i" else matrix.astype("u8")
