"""Labels: the classes there are, their codes and weights; for estimators."""

from __future__ import annotations

import numbers
from functools import partial
from typing import NamedTuple

import dask
import numpy as np
from dask.array import core as da

from daskdsml.contracts import Block
from daskdsml.data.dataset import Dataset
from daskdsml.engine.clients import compute
from daskdsml.passes.row_stats import RowStats, invalid_target, raise_invalid


def classes_of(examples: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes (K,) in y, and how often each occurs (K,), from one pass over y alone.

    Steps that ``examples.mask`` leaves out do not count.
    """
    y = examples.y
    mask = examples.mask if y.ndim > 1 else None
    if isinstance(y, da.Array):
        count = dask.delayed(_counted, pure=False)
        blocks = y.to_delayed().ravel()
        masks = [None] * len(blocks) if mask is None else mask.to_delayed().ravel()
        counted = compute(*map(count, blocks, masks))
    else:
        counted = (_counted(y, mask),)
    _check_labels_met(counted)
    classes = np.unique(np.concatenate([labels for _, labels, _ in counted]))
    counts = np.zeros(len(classes), dtype=np.int64)
    for _, labels, block_counts in counted:
        counts[np.searchsorted(classes, labels)] += block_counts
    return classes, counts


def _check_labels_met(counted) -> None:
    """Raise ValueError if labels of blocks, after each other, are missing or of several kinds."""
    total, known = RowStats(0, 0.0, ()), np.empty(0)
    for stats, labels, _ in counted:
        entry = invalid_target(labels, known, "those before it")
        total += stats.with_invalid(entry and entry._replace(row=0))
        known = known if len(known) else labels
    if total.invalid:
        raise_invalid(total)


def known_classes(classes) -> np.ndarray:
    """The sorted classes (K,) that a user names, two or more of one kind, before rows are seen."""
    labels = np.asarray(classes)
    try:
        distinct = np.unique(labels)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in labels.ravel()})
        raise ValueError(
            f"classes holds labels of kinds that cannot be compared: {', '.join(kinds)}. Pass "
            "labels of one kind."
        ) from error
    finite = distinct.dtype.kind != "f" or np.isfinite(distinct).all()
    if labels.ndim != 1 or len(distinct) < 2 or not finite:
        raise ValueError(
            f"classes must be a list of two labels or more, none of them NaN, got {classes!r}. "
            "Name all labels there will be."
        )
    return distinct


def encode(examples: Dataset, classes, class_weight=None, others=False) -> Dataset:
    """Replace labels (n,) or (n, T) by their codes among sorted ``classes (K,)``, and `weigh`.

    Steps that do not count get the code 0. A label that is none of the classes raises ValueError,
    at once or when Dask Arrays are read; with ``others`` it gets the code -1, which none predicts.
    """
    y = examples.y
    mask = None if y.ndim == 1 else examples.mask
    options = {"classes": np.asarray(classes), "in_chunk": isinstance(y, da.Array)}
    options["others"] = others
    coded = examples._replace(y=_blockwise(_codes, np.int64, y, mask, **options))
    return coded if class_weight is None else weigh(coded, class_weight)


def weigh(examples: Dataset, class_weight) -> Dataset:
    """Multiply the weights of rows (n,), or of steps (n, T), by ``class_weight (K,)``."""
    weight, w = np.asarray(class_weight, dtype=np.float64), examples.w
    if w is not None and examples.y.ndim > w.ndim:
        w = w[:, None]
    return examples._replace(w=_blockwise(_weights, np.float64, examples.y, w, by_class=weight))


class LabelCodes(NamedTuple):
    """Turns labels into their codes 0.0, 1.0, ... among sorted classes (K,), and weighs rows."""

    classes: np.ndarray
    class_weight: tuple[float, ...] | None = None

    def __call__(self, block: Block) -> Block:
        y = np.ravel(block.y)
        codes = codes_of(y, self.classes)
        if (codes < 0).any():
            unknown = y[np.argmin(codes)]
            raise ValueError(
                f"y holds the label {unknown!r}, which the first pass did not see: the collection "
                "gives other data each time it is computed. Persist or store it first."
            )
        w = block.w
        if self.class_weight is not None:
            w = _weights(codes, w, np.asarray(self.class_weight))
        return block._replace(y=codes.astype(block.X.dtype), w=w)


def codes_of(labels, classes) -> np.ndarray:
    """The index (n,) of each label among sorted ``classes (K,)``, -1 where it is none of them."""
    codes = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[codes] == labels, codes, -1)


def checked(examples: Dataset, part: str, check) -> Dataset:
    """The examples, after ``check(a)`` of their ``part``: when it is read, for Dask Arrays."""
    a, passed = getattr(examples, part), partial(_passed, check=check)
    lazy = isinstance(a, da.Array)
    a = a.map_blocks(passed, dtype=a.dtype, meta=a._meta) if lazy else passed(a)
    return examples._replace(**{part: a})


def check_weights(w) -> None:
    """Raise ValueError unless weights of rows are finite and not negative."""
    bad = ~((w >= 0.0) & (w < np.inf))
    if bad.any():
        raise ValueError(
            f"sample_weight must be finite and not negative, but holds {w[bad][0]}. Drop such rows "
            "or give them weight 0."
        )


def check_class_weight(given) -> None:
    """Raise ValueError unless ``given`` is "balanced", None, or a dict of finite weights."""
    named = isinstance(given, str) and given == "balanced"
    if not (given is None or isinstance(given, dict) or named):
        raise ValueError(f"class_weight must be a dict, 'balanced' or None, got {given!r}.")
    for label, weight in given.items() if isinstance(given, dict) else ():
        good = isinstance(weight, numbers.Real)
        if not (good and 0 <= weight < np.inf):
            raise ValueError(
                "class_weight must hold a finite number of at least 0 for each label, got "
                f"{weight!r} for {label!r}."
            )


def class_weights(given, classes, counts) -> tuple[float, ...] | None:
    """Weights of the classes (K,) from ``class_weight`` and ``counts`` (K,); None for all ones."""
    if given is None:
        return None
    labels = classes.tolist()
    if isinstance(given, str):
        return tuple(counts.sum() / (len(counts) * np.where(counts > 0.0, counts, np.inf)))
    unknown = [key for key in given if key not in labels]
    if unknown:
        shown = f"{labels[:10]}{' ...' * (len(labels) > 10)}"
        raise ValueError(f"class_weight names {unknown}, but y holds {shown}. Use the labels of y.")
    return tuple(float(given.get(label, 1.0)) for label in labels)


def _blockwise(function, dtype, a, b, **options):
    """``function(a, b)`` now, or block by block if these are Dask Arrays; b may be None."""
    if not isinstance(a, da.Array):
        return function(a, b, **options)
    meta = np.empty((0,) * a.ndim, dtype=dtype)
    return da.map_blocks(function, a, b, dtype=dtype, meta=meta, **options)


def _counted(y, mask):
    """What the rows ``y (n,)`` or steps ``(n, T)`` of a block are worth, their labels, counts."""
    seen, stats = _stats_of(y, mask)
    labels = seen[:0] if stats.invalid else seen
    return stats, *np.unique(labels, return_counts=True)


def _stats_of(y, mask, known=None):
    """The labels that a mask leaves, and their stats, which name the first that cannot be used."""
    # What a mask hides may be anything: padding is not compared with the classes.
    seen = y if mask is None else y[mask]
    entry = invalid_target(seen, known)
    if entry is not None and mask is not None:
        entry = entry._replace(row=int(np.nonzero(mask)[0][entry.row]))
    return seen, RowStats(len(y), float(len(y)), () if entry is None else (entry,))


def _passed(a, check):
    check(a)
    return a


def _codes(y, mask, classes, in_chunk, others):
    seen, stats = _stats_of(y, mask, known=classes)
    if stats.invalid:
        raise_invalid(stats, in_chunk=in_chunk)
    codes = codes_of(seen, classes)
    if not others and (codes < 0).any():
        raise ValueError(
            f"y holds the label {seen[codes < 0].tolist()[0]!r}, which is none of the classes "
            f"{classes.tolist()}. Name all classes at the first call, or fit anew."
        )
    if mask is None:
        return codes.astype(np.int64)
    all_codes = np.zeros(y.shape, dtype=np.int64)
    all_codes[mask] = codes
    return all_codes


def _weights(codes, w, by_class):
    return by_class[codes] if w is None else w * by_class[codes]
