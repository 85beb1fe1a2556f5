"""Whole penalty paths as functions, each from one read of the data."""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from daskdsml.contracts import PathSpec
from daskdsml.linear_model._base import dataset_of, publish
from daskdsml.linear_model._gram import check_products, checked, gram_of
from daskdsml.linear_model._least_squares import (
    MOST_PASSES,
    check_one_output,
    intercepts_of,
    n_outputs_of,
    solve,
)
from daskdsml.linear_model.elastic_net import (
    ElasticNet,
    check_descent,
    check_sparse,
    descent_solver,
    route_of_descent,
)
from daskdsml.losses.penalties.l2 import L2
from daskdsml.solvers.paths.eigen import Eigen
from daskdsml.utils.validation import check_flag, check_number

GAUGES = ("gap", "n_iter")


@dataclass(frozen=True)
class Path:
    """What the path functions return; it unpacks as scikit-learn's ``alphas, coefs, dual_gaps``.

    ``alphas (m,)`` in descending order; ``coefs (p, m)`` or (K, p, m); ``dual_gaps (m,)`` or (K, m)
    bound how far each objective is from its minimum; ``intercepts (m,)`` or (K, m), zero without
    ``fit_intercept``; ``n_iters`` are sweeps, the fourth it unpacks to if it ``gives_n_iters``;
    ``n_passes`` reads of X.
    """

    alphas: np.ndarray
    coefs: np.ndarray
    dual_gaps: np.ndarray
    intercepts: np.ndarray
    n_iters: Any
    n_passes: float
    gives_n_iters: bool = False

    def __iter__(self):
        fourth = (self.n_iters,) if self.gives_n_iters else ()
        return iter((self.alphas, self.coefs, self.dual_gaps, *fourth))

    def __getitem__(self, index):
        return (*self,)[index]

    def __len__(self):
        return 4 if self.gives_n_iters else 3


def lasso_path(
    X,
    y,
    *,
    eps=1e-3,
    alphas=100,
    precompute="auto",
    Xy=None,
    copy_X=True,
    coef_init=None,
    return_n_iter=False,
    check_input=True,
    fit_intercept=False,
    positive=False,
    sample_weight=None,
    max_iter=1000,
    tol=1e-4,
    solver="auto",
    cache="auto",
    backend="auto",
    verbose=False,
) -> Path:
    """The lasso for a whole sequence of penalties, from one read: `enet_path` with ``l1_ratio`` 1.

    Parameters, result and errors are those of `enet_path`.
    """
    options = dict(locals())
    return enet_path(l1_ratio=1.0, **options)


def enet_path(
    X,
    y,
    *,
    l1_ratio=0.5,
    eps=1e-3,
    alphas=100,
    precompute="auto",
    Xy=None,
    copy_X=True,
    coef_init=None,
    return_n_iter=False,
    check_input=True,
    fit_intercept=False,
    positive=False,
    sample_weight=None,
    max_iter=1000,
    tol=1e-4,
    solver="auto",
    cache="auto",
    backend="auto",
    verbose=False,
) -> Path:
    """The elastic net for a whole sequence of penalties, from one read of the data.

    Parameters
    ----------
    X : array (n, p), CSR, DataFrame, Dask Array or Dask DataFrame
    y : array (n,) or (n, K), series, or Dask collection of them
        Each of K columns has a path of its own; scikit-learn penalises the coefficients of all
        columns together, as MultiTaskElasticNet does.
    l1_ratio : float
        Share of the L1 penalty, above 0 and up to 1. For 0 take `ridge_path`.
    eps : float
        The smallest alpha of a grid, as a share of the largest.
    alphas : int or array (m,)
        Strengths of the penalty, against half the mean squared error; an integer stands for a
        geometric grid of that many from the smallest alpha that leaves no coefficient.
    precompute : as for `ElasticNet`
    Xy : array (p,) or (p, K), or None
        Cross products of X and y: compared with those of the read, as a Gram matrix is.
    copy_X, check_input : bool
        X is never written to and always checked, so both values have the same effect.
    coef_init : array (p,) or (K, p), or None
        Coefficients that the fit of the first alpha begins with.
    return_n_iter : bool
        Whether the result unpacks into four, the last being ``n_iters``.
    fit_intercept : bool
        Whether each fit has an intercept. As in scikit-learn the default is no: centre X and y
        before, or set it.
    positive, max_iter, tol, solver, cache, backend, verbose
        As for `ElasticNet`.
    sample_weight : array (n,), series, Dask collection of them, or None

    Returns
    -------
    Path
        Unpacks as ``alphas, coefs, dual_gaps``.

    Raises
    ------
    ValueError
        If data or parameters cannot be used; the message names the remedy.
    """
    model = ElasticNet(
        l1_ratio=l1_ratio,
        fit_intercept=fit_intercept,
        positive=positive,
        max_iter=max_iter,
        tol=tol,
        solver=solver,
        cache=cache,
        backend=backend,
        verbose=verbose,
    )
    model.precompute = precompute
    check_number(model, "l1_ratio", 0, strict=True, high=1)
    check_descent(model)
    good = isinstance(eps, numbers.Real)
    if not (good and 0.0 < eps <= 1.0):
        raise ValueError(f"eps must be a number above 0 and up to 1, got {eps!r}.")
    spec = PathSpec(checked_alphas(alphas), l1_ratio, eps=eps)
    path = _path(model, X, y, sample_weight, spec, Xy, coef_init)
    return replace(path, gives_n_iters=bool(return_n_iter))


def ridge_path(
    X,
    y,
    *,
    alphas=(0.1, 1.0, 10.0),
    fit_intercept=True,
    sample_weight=None,
    cache="auto",
    backend="auto",
    verbose=False,
) -> Path:
    """Ridge regression for a whole sequence of penalties, from one read and one eigendecomposition.

    Parameters
    ----------
    X : array (n, p) with p up to 4096, CSR, DataFrame, Dask Array or Dask DataFrame
    y : array (n,) or (n, K), series, or Dask collection of them
    alphas : array (m,)
        Strengths of the penalty, against the summed squared error, as `Ridge` takes them.
    fit_intercept : bool
        Whether each fit has an intercept.
    sample_weight : array (n,), series, Dask collection of them, or None
    cache, backend, verbose
        As for `Ridge`.

    Returns
    -------
    Path
        Unpacks as ``alphas, coefs, dual_gaps``; the fits are exact and all gaps zero.

    Raises
    ------
    ValueError
        If data or parameters cannot be used; the message names the remedy.
    """
    model = ElasticNet(
        l1_ratio=0.0,
        fit_intercept=fit_intercept,
        solver="coordinate_descent",
        cache=cache,
        backend=backend,
        verbose=verbose,
    )
    if isinstance(alphas, numbers.Integral):
        raise ValueError(
            f"alphas of a ridge path must be an array, got {alphas!r}: no penalty is large enough "
            "to leave no coefficient, so there is no natural grid. Use numpy.geomspace."
        )
    return _path(model, X, y, sample_weight, PathSpec(checked_alphas(alphas), 0.0, summed=True))


def _path(model, X, y, sample_weight, spec, Xy=None, start=None) -> Path:
    """The fits of ``spec`` for each output of y."""
    check_flag(model, "fit_intercept", "positive")
    table = dataset_of(model, X, y, sample_weight, multi_output=True)
    given = () if isinstance(spec.alphas, int) else spec.alphas
    strengths = spec.l1_ratio * np.array(given or (1.0,))
    name = route_of_descent(model, table, strengths, len(given) or spec.alphas)
    if name == "working_set":
        check_one_output(table, name, "coordinate_descent")
        check_sparse(table, model.alpha * model.l1_ratio)
    if not isinstance(spec.alphas, int) and (name == "working_set" or spec.l1_ratio == 0.0):
        check_sparse(table, strengths)
    K, p = n_outputs_of(table), table.n_features
    outputs = range(K)
    gram = gram_of(model.precompute, p)
    Xy = None if Xy is None else checked("Xy", Xy, (p,) if table.y.ndim == 1 else (p, K))
    solver = Eigen() if spec.l1_ratio == 0.0 else descent_solver(model, name, table)
    solver = solver._replace(specs=tuple(spec._replace(output=k) for k in outputs))
    if start is not None:
        start = np.atleast_2d(checked("coef_init", start, (p,) if table.y.ndim == 1 else (K, p)))
        solver = solver._replace(start=start.astype(float))
    result, n_passes, _ = solve(model, table, solver, L2(0.0), MOST_PASSES, label="path")
    check_products(gram, Xy, result, table.X.dtype, model.fit_intercept)
    publish(model, result, n_passes, name)
    paths = [_of_output(result, k, model) for k in outputs]
    alphas, *values = zip(*paths, strict=True)
    several: list[Any] = [value[0] if table.y.ndim == 1 else np.stack(value) for value in values]
    return Path(alphas[0], *several, n_passes=n_passes)


def _of_output(result, k, model) -> tuple:
    """The fields of the path of output ``k``, but for the passes."""
    paths, moments = result.paths, result.moments
    inner = np.stack([fit.coef for fit in paths.fits[k][0]])
    intercepts = intercepts_of(moments.mean, inner, k) * model.fit_intercept
    coefs = np.zeros((model.n_features_in_, len(inner)))
    coefs[paths.columns] = inner.T
    gaps, n_iters = (np.array([getattr(fit, name) for fit in paths.fits[k][0]]) for name in GAUGES)
    return paths.alphas[k], coefs, gaps, intercepts, n_iters


def checked_alphas(alphas):
    """An integer as it is, or strengths as a tuple of floats in descending order.

    Raises
    ------
    ValueError
        If a strength is negative or not finite, or there is none.
    """
    if isinstance(alphas, numbers.Integral) and not isinstance(alphas, bool) and int(alphas) > 0:
        return int(alphas)
    values = np.asarray(alphas)
    good = values.ndim == 1 and values.size and values.dtype.kind in "fiu"
    if not good or not np.isfinite(values).all() or (values < 0).any():
        raise ValueError(
            "alphas must be an integer of at least 1, how many values to try, or a list of finite "
            f"strengths of at least 0, got {alphas!r}."
        )
    return tuple(np.sort(values.astype(float))[::-1].tolist())
