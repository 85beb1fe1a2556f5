"""Batch normalisation. Found by name."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np

from daskdsml.layers._activations import activation_of, check_entrywise
from daskdsml.layers._settings import layer
from daskdsml.layers._views import channels_of, rows_of
from daskdsml.utils.validation import check_number


class _Tape(NamedTuple):
    """``counted (r,)`` is None for all rows, ``count`` their number in the whole batch or 0."""

    statistics: dict
    view: Any
    rows: Any
    out: Any
    deviation: Any
    counted: Any
    count: float  # type: ignore[assignment]  # nobody asks a tape for a tuple's method


@layer
class BatchNorm:
    """Features with mean 0 and variance 1 over the batch, scaled and shifted anew.

    ``y = f(gamma xhat + beta)`` with ``xhat = (x - mean) / sqrt(var + epsilon)``; ``var`` is the
    biased variance, divided by the number of entries. They are taken for each feature of x (n, p)
    over rows, of x (n, T, p) over rows and steps, for each channel of images (n, C, H, W) over all
    else. With ``dz = f' dy``, sums over the N entries of a feature and ``s`` for the root,

        ``dbeta = sum dz``, ``dgamma = sum dz xhat``,
        ``dx = gamma / s (dz - dbeta / N - xhat dgamma / N)``.

    Steps that a mask leaves out do not count in mean and variance; they come out normalised by
    those of the others, and their gradient has the first term alone. Prediction takes running
    statistics: ``mean`` from 0 and ``var``, biased too, from 1 on, of which each batch replaces the
    share ``momentum``.

    A batch that is spread over workers is normalised as a whole: two sums are exchanged on the way
    forward, one on the way back. The squares are summed about the mean, once that is known: from
    sums of squares about zero, in one exchange, a feature far from zero would lose its variance.
    A last batch of one row joins the batch before.

    Parameters
    ----------
    momentum : float, default=0.1
        Share of the latest batch in the running statistics, in (0, 1].
    epsilon : float, default=1e-5
        Added to the variance, above 0.
    activation : str or None, default=None
        Name of ``f`` (see `Activation`), None for the identity.

    Raises
    ------
    ValueError
        If a parameter is out of bounds, or the activation is unknown; from ``init``, if a row is
        not (p,), (T, p) or (C, H, W); from ``forward``, if a feature has one entry in a batch.

    References
    ----------
    Ioffe, S. and Szegedy, C. (2015). Batch normalization: accelerating deep network training by
    reducing internal covariate shift. ICML.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5
    activation: str | None = None

    penalised: ClassVar[frozenset[str]] = frozenset()
    collective = True

    def __post_init__(self):
        check_number(self, "momentum", 0, strict=True, high=1)
        check_number(self, "epsilon", 0, strict=True, high=np.finfo(float).max)
        check_entrywise(self)

    def init(self, rng, in_shape):
        if len(in_shape) not in (1, 2, 3):
            raise ValueError(
                "BatchNorm needs rows of shape (features,), (steps, features) or (channels, "
                f"height, width), got {in_shape}. Put Flatten() before it."
            )
        features = _features(in_shape)
        return {"gamma": np.ones(features), "beta": np.zeros(features)}, tuple(in_shape)

    def statistics(self, in_shape):
        """Running statistics before the first batch."""
        features = _features(in_shape)
        return {"mean": np.zeros(features), "var": np.ones(features)}

    def forward(self, kernels, params, x, step):
        view = channels_of(x) if x.ndim == 4 else rows_of(x)
        rows, counted, count = view.flat(x), _counted(view, x, step.mask), 0.0
        mean, var = (kernels.xp.asarray(params[k], dtype=np.float64) for k in ("mean", "var"))
        if step.training:
            met = rows if counted is None else rows[counted]
            entries = float(met.size // met.shape[1]) if met.shape[1] else 0.0
            local = kernels.norm_sums(met)
            total = yield kernels.xp.append(local, entries)
            count = _checked_count(float(total[-1]))
            if count:  # else all steps are hidden, and nothing changes
                mean = total[:-1] / count
                var = (yield kernels.norm_sums(met, mean)) / count
        deviation = kernels.xp.sqrt(var + self.epsilon)
        out = step.work("out", rows.shape)
        gamma, beta = params["gamma"], params["beta"]
        kernels.norm_forward(rows, mean, deviation, gamma, beta, activation_of(self), out)
        statistics = {"mean": mean, "var": var}
        return view.back(out), _Tape(statistics, view, rows, out, deviation, counted, count)

    def backward(self, kernels, params, tape, dout, grads, step):
        rows, moments = tape.rows, (tape.statistics["mean"], tape.deviation)
        dout, dz = tape.view.flat(dout), step.work("dx", rows.shape)
        sums = kernels.norm_slopes(rows, *moments, tape.out, dout, activation_of(self), dz)
        grads["beta"][...], grads["gamma"][...] = sums
        means = (yield sums) / tape.count if tape.count else kernels.xp.zeros_like(sums)
        if not step.inner:
            return None
        kernels.norm_backward(rows, *moments, params["gamma"], means, tape.counted, dz)
        return tape.view.back(dz)


def _checked_count(count) -> float:
    if count == 1.0:
        raise ValueError(
            "BatchNorm expects 2 entries or more of each feature in a batch, got 1, whose variance "
            "is 0: all that it gives would be 0. Train on more rows at a time (batch_size of at "
            "least 2), or leave BatchNorm out."
        )
    return count


def _features(in_shape) -> int:
    return in_shape[0] if len(in_shape) == 3 else in_shape[-1]


def _counted(view, x, mask):
    """The steps (r,) of sequences ``x`` that count, in the order of ``view``; None for all."""
    if mask is None or x.ndim != 3:
        return None
    if mask.shape != x.shape[:2]:
        raise ValueError(
            f"BatchNorm got sequences of {x.shape[1]} steps and a mask of {mask.shape[1]}: layers "
            "before it change the number of steps. Use no mask, or other layers."
        )
    return mask.transpose(view.order[:2]).reshape(-1)
