"""Signatures of chunks: whether data that are read again are the same as before."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy import sparse

PARTS = ("X", "y", "sample_weight")
# By how much numbers of one column may differ, by their precision: other processors round what a
# chunk is computed from in another way.
TOLERANCE = {4: 1e-5, 8: 1e-9}
# Sums of columns this much smaller than the largest may be nothing but rounding.
NEGLIGIBLE = 1e-14
GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
# Entries that are made real numbers at once.
TILE = 2**17
# Rows of fewer entries are joined to about as many: BLAS takes up to four times as long for a
# product with shorter ones. With more than twice as many it reads from several places in memory at
# once, of which the processor fetches none ahead.
WIDTH = 24
# What sums that cancel are kept from falling below, in those of as many entries of either sign:
# else their rounding would count as a change. The first rows tell how large entries are.
CANCELLED, SAMPLED = 0.1, 16


def signature(X, y=None, w=None) -> list:
    """Pairs (number, tolerance) of X (n, ...), y (n, ...) and weights (n,) of a chunk, or None.

    The number is ``sum_j c_j log(|sum_i r_i a_ij| + d_j)`` with fixed factors r of rows and c of
    columns, and d a tenth of what sums of entries of either sign are: columns of all scales count
    alike, and rows that change places are noticed. Its cost is that of reading the chunk once.
    """
    return [None if part is None else _signature(part) for part in (X, y, w)]


def _signature(a) -> tuple[float, float]:
    if sparse.issparse(a):
        a = np.stack([a.data, a.indices.astype(a.data.dtype)], axis=1)
    if a.dtype.kind in "OS":
        from pandas.util import hash_array  # slow to import, and only some labels need it

        a = hash_array(a.ravel().astype(object, copy=False)).reshape(a.shape)
    elif a.dtype.kind == "U":
        a = np.ascontiguousarray(a).view(np.uint32)
    a = a.reshape(len(a), int(np.prod(a.shape[1:])))
    real = np.dtype(np.float32 if a.dtype.itemsize <= 2 or a.dtype == np.float32 else np.float64)
    with np.errstate(all="ignore"):
        sums = np.abs(_sums(a, real))
        largest = sums.max(initial=0.0)
        logs = np.log(sums + _rounded(a, real) + NEGLIGIBLE * largest) if largest != 0.0 else sums
        number = len(a) + float(_factors(len(logs), np.dtype(float)) @ logs)
    return number, TOLERANCE[real.itemsize] * len(logs) ** 0.5


def _sums(a, real) -> np.ndarray:
    """Sums (p,) over the rows of ``a`` (n, p), each times its factor.

    The factor of a row is that of its run of ``joined`` rows times that of its place there.
    """
    n, p = a.shape
    joined = max(WIDTH // max(p, 1), 1)
    width, n_runs = joined * p, -(-n // joined)
    step = max(TILE // max(width, 1), 1)
    factors = _factors(n_runs + joined, real)
    sums = np.zeros(width)
    for i in range(0, n_runs if p else 0, step):
        tile = np.ascontiguousarray(a[i * joined : (i + step) * joined], real).ravel()
        if missing := -len(tile) % width:
            tile = np.append(tile, np.zeros(missing, real))
        runs = tile.reshape(-1, width)
        r = factors[i : i + len(runs)]
        sums += r @ runs if width <= 2 * WIDTH else np.einsum("i,ij->j", r, runs)
    return factors[n_runs:] @ sums.reshape(joined, p)


def _rounded(a, real) -> np.ndarray:
    """What keeps sums (p,) over the rows of ``a`` (n, p) from being mere rounding."""
    some = np.abs(a[:SAMPLED].astype(real, copy=False))
    return CANCELLED * len(a) ** 0.5 / max(len(some), 1) * some.sum(axis=0)


def _factors(n: int, real) -> np.ndarray:
    """Factors (n,) in [0.5, 1.5) that differ from each other."""
    return _table(n.bit_length(), real)[:n]


@lru_cache(maxsize=8)
def _table(bits: int, real) -> np.ndarray:
    """Factors of up to 2**bits rows: few tables serve chunks of all lengths."""
    return (0.5 + np.arange(2**bits) * GOLDEN % 1.0).astype(real)


class Unchanged:
    """The signatures of chunks when they were read first.

    They are given as lists, by the number of the shard that has the chunks, or of the partition
    they are joined to: then there is one for all of them.
    """

    def __init__(self, joined=False):
        self.joined = joined
        self._first: dict[int, list] = {}

    def check(self, signatures: dict) -> None:
        """Raise ValueError if a chunk is not what it was at an earlier read."""
        for index, chunks in sorted(signatures.items()):
            for place, (before, now) in enumerate(
                zip(self._first.setdefault(index, chunks), chunks, strict=True)
            ):
                for part, a, b in zip(PARTS, before, now, strict=True):
                    if a is not None and not _alike(a, b):
                        raise ValueError(self._sentence(part, index, place))

    def _sentence(self, part, index, place) -> str:
        where = f"partition {index}"
        if not self.joined:
            before = sum(len(chunks) for i, chunks in self._first.items() if i < index)
            where = f"chunk {before + place}"
        return (
            f"{part} has other numbers in {where} (the first is 0) than when it was read "
            "before, but a fit needs the same data at each read. Was a file lost or rewritten, or "
            "does the collection draw at random without a seed? Store or persist it first."
        )


def _alike(before, now) -> bool:
    (a, tolerance), (b, _) = before, now
    return a == b or abs(a - b) <= tolerance or (a != a and b != b)
