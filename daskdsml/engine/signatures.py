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
# What stands for numbers that are not finite.
NAN, INF = -1e6, -2e6


def signature(X, y=None, w=None, lengths=None) -> tuple:
    """Codes, uint32 (n_chunks,), of X (n, ...), y (n, ...) and weights (n,), or None.

    Parameters
    ----------
    X : array (n, ...) or CSR (n, p)
    y, w : array (n, ...) or None
    lengths : list of int or None
        Rows of the chunks that were joined; None for a single one.

    Notes
    -----
    A code is ``sum_j c_j log(|sum_i r_i a_ij| + d_j)`` in units of its tolerance, modulo 2**32,
    with fixed factors r of rows and c of columns, and d a tenth of what sums of entries of either
    sign are: columns of all scales count alike, and rows that change places are noticed. Its cost
    is that of reading the chunk once.
    """
    return tuple(
        None if part is None else _codes(part, lengths or [part.shape[0]]) for part in (X, y, w)
    )


def concatenated(signatures: list[tuple]) -> tuple:
    """The signatures of some runs of chunks as one."""
    return tuple(
        None if runs[0] is None else np.concatenate(runs) for runs in zip(*signatures, strict=True)
    )


def _codes(a, lengths) -> np.ndarray:
    borders = np.concatenate([[0], np.cumsum(lengths)])
    if sparse.issparse(a):
        borders = a.indptr[borders]
        a = np.stack([a.data, a.indices.astype(a.data.dtype)], axis=1)
    if a.dtype.kind in "OS":
        from pandas.util import hash_array  # slow to import, and only some labels need it

        a = hash_array(a.ravel().astype(object, copy=False)).reshape(a.shape)
    elif a.dtype.kind == "U":
        a = np.ascontiguousarray(a).view(np.uint32)
    a = a.reshape(len(a), int(np.prod(a.shape[1:])))
    real = np.dtype(np.float32 if a.dtype.itemsize <= 2 or a.dtype == np.float32 else np.float64)
    with np.errstate(all="ignore"):
        sums = np.abs(_sums(a, real)[None] if len(borders) == 2 else _chunk_sums(a, borders, real))
        largest = sums.max(axis=1, keepdims=True, initial=0.0)
        logs = np.log(sums + _rounded(a, borders, real) + NEGLIGIBLE * largest)
        logs = np.where(largest == 0.0, 0.0, logs)
        numbers = np.diff(borders) + logs @ _factors(logs.shape[1], np.dtype(float))
        units = np.nan_to_num(numbers, nan=NAN, posinf=INF, neginf=-INF) / (
            TOLERANCE[real.itemsize] * max(logs.shape[1], 1) ** 0.5
        )
    return (np.rint(units) % 2.0**32).astype(np.uint32)


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


def _chunk_sums(a, borders, real) -> np.ndarray:
    """Sums (n_chunks, p) over the rows of each chunk, each times its factor."""
    return _added(_factors(len(a), real), a.astype(real, copy=False), borders)


def _rounded(a, borders, real) -> np.ndarray:
    """What keeps sums (n_chunks, p) from being mere rounding."""
    lengths = np.diff(borders)
    taken = np.minimum(lengths, SAMPLED)
    ends = np.concatenate([[0], np.cumsum(taken)])
    rows = np.arange(ends[-1]) + np.repeat(borders[:-1] - ends[:-1], taken)
    some = np.abs(a[rows].astype(real, copy=False))
    scale = CANCELLED * lengths**0.5 / np.maximum(taken, 1)
    return scale[:, None] * _added(np.ones(len(some), real), some, ends)


def _added(factors, a, borders) -> np.ndarray:
    """Sums (n_runs, p) of ``a`` (n, p), times factors (n,), over runs of rows."""
    shape = len(borders) - 1, len(a)
    return sparse.csr_array((factors, np.arange(len(a)), borders), shape=shape) @ a


def _factors(n: int, real) -> np.ndarray:
    """Factors (n,) in [0.5, 1.5) that differ from each other."""
    return _table(n.bit_length(), real)[:n]


@lru_cache(maxsize=8)
def _table(bits: int, real) -> np.ndarray:
    """Factors of up to 2**bits rows: few tables serve chunks of all lengths."""
    return (0.5 + np.arange(2**bits) * GOLDEN % 1.0).astype(real)


class Unchanged:
    """The signatures of chunks when they were read first.

    They are given by the number of the shard that has the chunks, or of the partition they are
    joined to: then there is one for all of them.
    """

    def __init__(self, joined=False):
        self.joined = joined
        self.known: dict[int, tuple] = {}

    def check(self, signatures: dict) -> None:
        """Raise ValueError if a chunk is not what it was at an earlier read."""
        for index, codes in sorted(signatures.items()):
            first = self.known.setdefault(index, codes)
            found = [
                (int(np.argmax(differ)), part)
                for part, a, b in zip(PARTS, first, codes, strict=True)
                if a is not None and (differ := changed(a, b)).any()
            ]
            if found:
                place, part = min(found, key=lambda pair: pair[0])
                raise ValueError(self._sentence(part, index, place))

    def _sentence(self, part, index, place) -> str:
        where = f"partition {index}"
        if not self.joined:
            before = sum(len(codes[0]) for i, codes in self.known.items() if i < index)
            where = f"chunk {before + place}"
        return (
            f"{part} has other numbers in {where} (the first is 0) than when it was read "
            "before, but a fit needs the same data at each read. Was a file lost or rewritten, or "
            "does the collection draw at random without a seed? Store or persist it first."
        )


def changed(before, now) -> np.ndarray:
    """Where codes are more than a tolerance apart; they wrap around, as unsigned numbers do."""
    return before - now + np.uint32(1) > 2
