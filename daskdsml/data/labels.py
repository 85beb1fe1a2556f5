"""Labels: the classes there are, their codes and weights, and rows held out; for estimators."""

from __future__ import annotations

import numbers
from functools import partial

import dask
import dask.array as da
import numpy as np

from daskdsml.data.dataset import Dataset
from daskdsml.data.encode import codes_of


def classes_of(examples: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes (K,) in y, and how often each occurs (K,), from one pass over y alone.

    Steps that ``examples.mask`` leaves out do not count.
    """
    y = examples.y
    mask = examples.mask if y.ndim > 1 else None
    if not isinstance(y, da.Array):
        return _counted(y, mask)
    count = dask.delayed(_counted, pure=False)
    blocks = y.to_delayed().ravel()
    masks = [None] * len(blocks) if mask is None else mask.to_delayed().ravel()
    found = dask.compute(*map(count, blocks, masks))
    classes = np.unique(np.concatenate([labels for labels, _ in found]))
    counts = np.zeros(len(classes), dtype=np.int64)
    for labels, times in found:
        counts[np.searchsorted(classes, labels)] += times
    return classes, counts


def known_classes(classes) -> np.ndarray:
    """The sorted classes (K,) that a user names, before rows are seen.

    Raises
    ------
    ValueError
        If they are not two labels or more, all of one kind and known.
    """
    labels = np.asarray(classes)
    try:
        found = np.unique(labels)
    except TypeError as error:
        raise _mixed(labels, "classes") from error
    known = found.dtype.kind != "f" or np.isfinite(found).all()
    if labels.ndim != 1 or len(found) < 2 or not known:
        raise ValueError(
            f"classes must be a list of two labels or more, none of them NaN, got {classes!r}. "
            "Name all labels there will be."
        )
    return found


def check_known(labels) -> None:
    """Raise ValueError if sorted ``labels`` in y hold NaN or infinity, which are no labels."""
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        kind = "NaN" if np.isnan(labels).any() else "infinity"
        raise ValueError(f"Input y contains {kind}. Drop the rows whose label is not known.")


def encode(examples: Dataset, classes, class_weight=None) -> Dataset:
    """Replace labels by their places among the classes, lazily for Dask Arrays.

    Parameters
    ----------
    examples : Dataset
        With labels ``y`` (n,) or (n, T); steps that do not count get the code 0.
    classes : array (K,), sorted
    class_weight : array (K,) or None
        What the weight of a row, or of a step, is multiplied by: weights of steps are (n, T).

    Raises
    ------
    ValueError
        If y holds a label that is none of the classes (at once, or when Dask Arrays are read).
    """
    y, mask = examples.y, examples.mask
    classes = np.asarray(classes)
    steps = None if y.ndim == 1 else mask
    codes = _blockwise(_codes, np.int64, y, steps, classes=classes)
    coded = examples._replace(y=codes)
    return coded if class_weight is None else weigh(coded, class_weight)


def weigh(examples: Dataset, class_weight) -> Dataset:
    """Multiply the weights of rows, or of steps, by ``class_weight (K,)`` at their codes."""
    weight, w = np.asarray(class_weight, dtype=np.float64), examples.w
    if w is not None and examples.y.ndim > 1:
        w = w[:, None]
    return examples._replace(w=_blockwise(_weights, np.float64, examples.y, w, by_class=weight))


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
    strangers = [key for key in given if key not in labels]
    if strangers:
        shown = f"{labels[:10]}{' ...' * (len(labels) > 10)}"
        raise ValueError(
            f"class_weight names {strangers}, but y holds {shown}. Use the labels of y."
        )
    return tuple(float(given.get(label, 1.0)) for label in labels)


def split(examples: Dataset, fraction, seed, stratify=False) -> tuple[Dataset, Dataset]:
    """Rows to train on and rows held out, drawn by position and seed whatever the chunks.

    Dask Arrays are split lazily: both halves read their chunks on their own. Arrays in memory are
    copied.

    Parameters
    ----------
    examples : Dataset
    fraction : float in (0, 1)
        Share of the rows held out, rounded up.
    seed : int
    stratify : bool
        Whether each class of y (n,) is held out in proportion, which takes a pass over y. A y of
        steps has no class of a row.

    Returns
    -------
    train, held : Dataset

    Raises
    ------
    ValueError
        If ``fraction`` is not between 0 and 1, or leaves no row to train on.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction={fraction!r} of rows to hold out must be between 0 and 1.")
    n = int(examples.X.shape[0])
    n_held = int(np.ceil(fraction * n))
    if n_held >= n:
        raise ValueError(
            f"Holding out {n_held} of {n} rows, a fraction of {fraction}, leaves none to train on. "
            "Lower the fraction (validation_fraction), or pass more rows."
        )
    order = np.random.default_rng(seed).permutation(n)
    if stratify and examples.y.ndim == 1:
        order = _spread(order, np.asarray(examples.y))
    held = np.zeros(n, dtype=bool)
    held[order[:n_held]] = True
    return _where(examples, ~held), _where(examples, held)


def _spread(order, y):
    """Rows in an order of which any beginning has all classes in proportion."""
    _, codes = np.unique(y[order], return_inverse=True)
    by_class = np.argsort(codes, kind="stable")
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    ranks = np.empty(len(order))
    ranks[by_class] = np.arange(len(order)) - np.repeat(starts, counts)
    return order[np.argsort((ranks + 0.5) / counts[codes], kind="stable")]


def _where(examples: Dataset, chosen) -> Dataset:
    """The rows where ``chosen (n,)`` is True."""
    if examples.is_local:
        return _with_parts(examples, lambda part: part[chosen])
    flags = da.from_array(chosen, chunks=(examples.X.chunks[0],))
    borders = np.concatenate([[0], np.cumsum(examples.X.chunks[0])])
    before = np.concatenate([[0], np.cumsum(chosen)])
    lengths = tuple(int(k) for k in np.diff(before[borders]))
    return _with_parts(examples, lambda part: _rows_where(part, flags, lengths))


def _with_parts(examples: Dataset, change) -> Dataset:
    """The examples with each part as ``change(part)`` gives it."""
    parts = zip(("X", "y", "w", "mask"), examples.batch_parts, strict=True)
    return Dataset(**{name: change(part) for name, part in parts if part is not None})


def _rows_where(part, flags, lengths):
    """The rows of a Dask Array where ``flags`` are True, with as many chunks of known lengths."""
    axes = "abcdefgh"[: part.ndim]
    return da.blockwise(
        _pick,
        axes,
        part,
        axes,
        flags,
        "a",
        dtype=part.dtype,
        meta=part._meta,
        adjust_chunks={"a": lengths},
        align_arrays=False,
    )


def _pick(block, flags):
    return block[flags]


def _blockwise(function, dtype, a, b, **options):
    """``function(a, b)`` now, or block by block if these are Dask Arrays; b may be None."""
    if not isinstance(a, da.Array):
        return function(a, b, **options)
    if b is None:
        return da.map_blocks(function, a, None, dtype=dtype, meta=_empty(a, dtype), **options)
    return da.map_blocks(function, a, b, dtype=dtype, meta=_empty(a, dtype), **options)


def _empty(a, dtype):
    return np.empty((0,) * a.ndim, dtype=dtype)


def _counted(y, mask):
    seen = y if mask is None else y[mask]
    try:
        return np.unique(seen, return_counts=True)
    except TypeError as error:
        raise _mixed(seen) from error


def _mixed(labels, name="y") -> ValueError:
    """What to say of labels that cannot be put into an order, such as text and None."""
    kinds = sorted({type(label).__name__ for label in np.ravel(labels)})
    return ValueError(
        f"{name} holds labels of kinds that cannot be compared: {', '.join(kinds)}. Pass labels of "
        "one kind, and drop rows (or mask steps) without a label."
    )


def _passed(a, check):
    check(a)
    return a


def _codes(y, mask, classes):
    # What a mask hides may be anything: padding is not compared with the classes.
    seen = y if mask is None else y[mask]
    try:
        found = codes_of(seen, classes)
    except TypeError as error:
        raise _mixed(seen) from error
    if (found < 0).any():
        raise ValueError(
            f"y holds the label {seen[found < 0].tolist()[0]!r}, which is none of the classes "
            f"{classes.tolist()}. Name all classes at the first call, or fit anew."
        )
    if mask is None:
        return found.astype(np.int64)
    codes = np.zeros(y.shape, dtype=np.int64)
    codes[mask] = found
    return codes


def _weights(codes, w, by_class):
    return by_class[codes] if w is None else w * by_class[codes]
