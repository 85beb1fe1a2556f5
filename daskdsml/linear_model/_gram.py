"""Cross products that users made before: they have to be those of the data."""

from __future__ import annotations

import numpy as np

# How far entries may be off, in units of the columns' norms, by the precision they were made in.
ROUNDING = {np.dtype(np.float32): 1e-3, np.dtype(np.float64): 1e-6}


def gram_of(precompute, p):
    """The Gram matrix that ``precompute`` is, or None; ValueError if it is not one of p columns."""
    if isinstance(precompute, bool | np.bool_ | str) or np.ndim(precompute) == 0:
        return None
    return checked("precompute", precompute, (p, p))


def checked(name, given, shape) -> np.ndarray:
    """Numbers as an array; ValueError unless they have this shape and are finite."""
    given = np.asarray(given)
    if given.dtype.kind not in "fiu" or given.shape != shape or not np.isfinite(given).all():
        raise ValueError(
            f"{name} must be finite numbers of shape {shape}, as many as X has columns, but has "
            f"shape {given.shape} and dtype {given.dtype}. Leave it out: it is not needed."
        )
    return given


def check_products(gram, Xy, result, dtype, fit_intercept) -> None:
    """Raise ValueError unless ``X'X`` and ``X'y``, or None, are those of the data of a `Result`.

    With an intercept they may also be those of centred columns; of weighted rows ``X'WX`` with
    weights as they are, or scaled to sum to the number of rows as scikit-learn scales them. Data of
    ``dtype`` and what is given may be rounded.
    """
    columns, moments = result.paths.columns, result.moments
    m, K = len(columns), len(moments.mean) - len(columns)
    kinds = [moments.about_zero(), moments] if fit_intercept else [moments.about_zero()]
    for given, others in ((gram, slice(m)), (Xy, slice(m, m + K))):
        if given is None:
            continue
        part = np.reshape(given, (len(given), -1))[columns]
        part = part[:, columns] if given is gram else part
        rounding = max(ROUNDING.get(np.dtype(d), 1e-6) for d in (part.dtype, dtype))
        if not any(_equal(part, kind, m, others, rounding) for kind in kinds):
            of_gram = ("Gram matrix", "precompute", "X'{}X")
            kind, name, what = of_gram if given is gram else ("Cross product", "Xy", "X'{}y")
            weighted = moments.weight != moments.stats.n_rows
            by = ", with sample_weight in W," if weighted else ""
            raise ValueError(
                f"{kind} passed in via {name!r} parameter did not pass validation: it is not "
                f"{what.format('W' * weighted)}{by} of these columns and rows. Leave it out: cross "
                "products are made in the read of the data."
            )


def _equal(given, moments, m, others, rounding) -> bool:
    """Whether cross products ``given (m, k)`` are those of ``moments``, for either scale."""
    norms = np.sqrt(np.diag(moments.cross))
    allowed = rounding * np.outer(norms[:m], norms[others])
    scales = 1.0, moments.stats.n_rows / moments.weight
    apart = (np.abs(given / scale - moments.cross[:m, others]) for scale in scales)
    return any((distance <= allowed).all() for distance in apart)
