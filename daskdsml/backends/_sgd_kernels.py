"""Stochastic gradient descent over the rows of one block, compiled, for any loss.

Coefficients are ``scale * coef``, so that shrinking them all costs one product. With ``mass`` and
``norm``, their mean over the updates is ``(mass * coef + mean) / norm``: a row changes ``coef`` and
``mean`` only where it has entries [1]_. Columns pay their L1 penalty when a row has them: ``due``
is what a column should have paid so far, ``paid`` what it has [2]_.

``now`` is the model's one record of numbers; see `daskdsml.passes.stochastic`.

References
----------
.. [1] Bottou, L. (2012). Stochastic gradient descent tricks. Neural Networks: Tricks of the Trade.
.. [2] Tsuruoka, Y., Tsujii, J. and Ananiadou, S. (2009). Stochastic gradient descent training for
   L1-regularized log-linear models with cumulative penalty. Proceedings of ACL-IJCNLP.
.. [3] Crammer, K., Dekel, O., Keshet, J., Shalev-Shwartz, S. and Singer, Y. (2006). Online
   passive-aggressive algorithms. JMLR 7, 551-585.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from daskdsml.backends._kernels import FAST, _value_and_derivative, kernel

CONSTANT, OPTIMAL, INVERSE, PASSIVE_1, PASSIVE_2 = range(5)
# A steeper loss of a row counts as this steep, as in scikit-learn: quadratic losses of columns that
# were not scaled would overflow.
STEEPEST = 1e12
# Below this scale coefficients are multiplied out, long before a product underflows.
SMALLEST_SCALE = 1e-9


def _row(data, indices, indptr, i): ...


@overload(_row, jit_options=FAST)
def _row_of(data, indices, indptr, i):
    """Entries of row i and their columns; columns are None for a dense matrix."""
    if isinstance(indptr, types.NoneType):
        return lambda data, indices, indptr, i: (data[i], None)
    return lambda data, indices, indptr, i: (
        data[indptr[i] : indptr[i + 1]],
        indices[indptr[i] : indptr[i + 1]],
    )


@njit(**FAST)
def _score(x, columns, coef):
    total = 0.0
    if columns is None:
        for j in range(x.size):
            total += x[j] * coef[j]
    else:
        for k in range(x.size):
            total += x[k] * coef[columns[k]]
    return total


@njit(**FAST)
def _add(x, columns, factor, target):
    if columns is None:
        for j in range(x.size):
            target[j] += factor * x[j]
    else:
        for k in range(x.size):
            target[columns[k]] += factor * x[k]


@njit(**FAST)
def _after_paying(before, due, paid, scale):
    """A coefficient, in units of ``scale``, after paying what it owes, down to zero at most."""
    if before > 0.0:
        return max(0.0, before - (due + paid) / scale)
    return min(0.0, before + (due - paid) / scale)


@njit(**FAST)
def _pay(coef, mean, paid, now, columns):
    """Have ``columns`` pay, or all where they are None."""
    due, scale, mass = now.due, now.scale, now.mass
    for k in range(coef.size if columns is None else columns.size):
        j = k if columns is None else columns[k]
        before = coef[j]
        if before != 0.0:
            coef[j] = _after_paying(before, due, paid[j], scale)
            change = coef[j] - before
            paid[j] += scale * change
            if mean.size:
                mean[j] -= mass * change


@njit(**FAST)
def _multiply_out(coef, mean, now):
    """Make ``coef`` and ``mean`` what they stand for."""
    for j in range(mean.size):
        mean[j] = (now.mass * coef[j] + mean[j]) / now.norm
    for j in range(coef.size):
        coef[j] *= now.scale
    now.mass, now.norm, now.scale = 0.0, 1.0, 1.0


@njit(**FAST)
def _rate(rule, now):
    if rule.schedule == OPTIMAL:
        return 1.0 / (rule.alpha * (rule.offset + now.t - 1.0))
    if rule.schedule == INVERSE:
        return rule.eta0 / now.t**rule.power_t
    return now.eta


@njit(**FAST)
def _clipped(slope, now):
    """The derivative of a row's loss within `STEEPEST`, counted if it is not; NaN stays NaN."""
    if abs(slope) > STEEPEST:
        now.clipped += 1.0
        return STEEPEST if slope > 0.0 else -STEEPEST
    return slope


@njit(**FAST)
def _square(x):
    total = 0.0
    for value in x:
        total += value * value
    return total


@njit(**FAST)
def _aggressive_step(rule, value, square):
    """What multiplies the row: enough to undo its loss, softened by ``eta0`` [3]_."""
    if rule.schedule == PASSIVE_1:
        return min(rule.eta0, value / square)
    return value / (square + 0.5 / rule.eta0)


@njit(**FAST)
def _shrink(coef, mean, rule, now, eta):
    """The squares of the penalty: all coefficients, by the same factor, never past zero."""
    now.scale *= max(0.0, 1.0 - eta * rule.l2)
    if now.scale < SMALLEST_SCALE:
        _multiply_out(coef, mean, now)


@njit(**FAST)
def _move(coef, mean, now, x, columns, change):
    """Add ``change x`` to the coefficients."""
    change /= now.scale
    _add(x, columns, change, coef)
    if mean.size:
        _add(x, columns, -now.mass * change, mean)


@njit(**FAST)
def _count_update(mean, rule, now):
    """Take the parameters of an update into the means, and go on to the next."""
    if mean.size and now.t >= rule.average:
        share = 1.0 / (now.t - rule.average + 1.0)
        if share < 1.0:
            now.norm /= 1.0 - share
        now.mass += share * now.norm * now.scale
        now.mean_intercept += share * (now.intercept - now.mean_intercept)
    now.t += 1.0


@njit(**FAST)
def _begin_update(coef, mean, waiting, rule, now, n_rows):
    """The part of a batch's update that its last block has no rows for; returns the step size."""
    eta = _rate(rule, now)
    _shrink(coef, mean, rule, now, eta)
    if now.rows > 0.0:
        _move(coef, mean, now, waiting, None, -eta / n_rows)
        waiting[:] = 0.0
        now.rows = 0.0
    now.intercept -= rule.intercept * eta * now.slope / n_rows
    now.slope = 0.0
    now.due += eta * rule.l1
    return eta


@njit(**FAST)
def _arrays(model):
    """The arrays of a model, for a loop: each access by name counts a reference."""
    return model.coef, model.mean, model.paid, model.waiting


@njit(**FAST)
def _single(loss, data, indices, indptr, y, w, order, rule, model, now):
    """An update a row."""
    coef, mean, paid, _ = _arrays(model)
    for i in order:
        x, columns = _row(data, indices, indptr, i)
        if rule.l1 > 0.0 and columns is not None:  # for the updates that did not meet them
            _pay(coef, mean, paid, now, columns)
        z = now.scale * _score(x, columns, coef) + now.intercept
        value, slope = _value_and_derivative(loss, y[i], z)
        now.loss += w[i] * value
        eta = step = _rate(rule, now)
        if rule.schedule >= PASSIVE_1:
            square = _square(x)
            if square == 0.0 and rule.schedule == PASSIVE_1:
                continue
            step = _aggressive_step(rule, value, square)
        _shrink(coef, mean, rule, now, eta)
        change = -step * w[i] * _clipped(slope, now)
        if change != 0.0:
            _move(coef, mean, now, x, columns, change)
            now.intercept += rule.intercept * change
        if rule.l1 > 0.0:
            now.due += eta * rule.l1
            _pay(coef, mean, paid, now, columns)
        _count_update(mean, rule, now)


@njit(**FAST)
def _slopes(loss, data, indices, indptr, y, w, rows, rule, coef, mean, paid, now, slopes):
    """Weighted derivatives of the loss in the scores of ``rows``, into ``slopes``; their sum."""
    total = 0.0
    for k in range(rows.size):
        i = rows[k]
        x, columns = _row(data, indices, indptr, i)
        if rule.l1 > 0.0 and columns is not None:  # for the updates that did not meet them
            _pay(coef, mean, paid, now, columns)
        z = now.scale * _score(x, columns, coef) + now.intercept
        value, slope = _value_and_derivative(loss, y[i], z)
        now.loss += w[i] * value
        slopes[k] = w[i] * _clipped(slope, now)
        total += slopes[k]
    return total


@njit(**FAST)
def _batches(loss, data, indices, indptr, y, w, order, rule, model, now):
    """An update every ``rule.batch`` rows; rows that are too few for one wait as a gradient."""
    coef, mean, paid, waiting = _arrays(model)
    slopes = np.empty(min(order.size, rule.batch))
    start = 0
    while start < order.size:
        rows = order[start : start + rule.batch - int(now.rows)]
        start += rows.size
        now.slope += _slopes(
            loss, data, indices, indptr, y, w, rows, rule, coef, mean, paid, now, slopes
        )
        if now.rows + rows.size < rule.batch:
            for k in range(rows.size):
                x, columns = _row(data, indices, indptr, rows[k])
                _add(x, columns, slopes[k], waiting)
            now.rows += rows.size
            return
        waited = now.rows > 0.0
        eta = _begin_update(coef, mean, waiting, rule, now, rule.batch)
        for k in range(rows.size):
            x, columns = _row(data, indices, indptr, rows[k])
            _move(coef, mean, now, x, columns, -eta * slopes[k] / rule.batch)
        if rule.l1 > 0.0 and (waited or indptr is None):
            _pay(coef, mean, paid, now, None)
        elif rule.l1 > 0.0:
            for k in range(rows.size):
                _pay(coef, mean, paid, now, _row(data, indices, indptr, rows[k])[1])
        _count_update(mean, rule, now)


@kernel
def walk(loss, data, indices, indptr, y, w, order, rule, model):
    """Go through the rows ``order`` of a block; the arrays of ``model`` are changed in place.

    Parameters
    ----------
    loss : NamedTuple, its class is part of the signature
    data, indices, indptr : arrays of a CSR matrix; or a dense (n, p), None, None
    y, w : arrays (n,), float64
    order : array (m,), int64
    rule : daskdsml.passes.stochastic.Rule
    model : daskdsml.passes.stochastic.SGDState
    """
    now = model.numbers[0]
    now.seen += order.size
    if rule.batch == 1:
        _single(loss, data, indices, indptr, y, w, order, rule, model, now)
    else:
        _batches(loss, data, indices, indptr, y, w, order, rule, model, now)


@kernel
def close(rule, model):
    """End an epoch: an update for rows that still wait, all penalties paid, all products made."""
    now = model.numbers[0]
    coef, mean, paid, waiting = _arrays(model)
    waits = now.rows > 0.0
    if waits:
        _begin_update(coef, mean, waiting, rule, now, now.rows)
    if rule.l1 > 0.0:
        _pay(coef, mean, paid, now, None)
    if waits:
        _count_update(mean, rule, now)
    _multiply_out(coef, mean, now)
