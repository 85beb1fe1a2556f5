"""Dropout. Found by name."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from daskdsml.layers._settings import layer
from daskdsml.utils.validation import check_number


@layer
class Dropout:
    """In training, entries are set to zero with probability ``rate``, the rest grows for it.

    ``y = x m / (1 - rate)`` with ``m`` 0 or 1, drawn anew for each entry of each batch; the mean of
    ``y`` is ``x``, so that prediction takes ``y = x``. ``x`` has any shape.

    Parameters
    ----------
    rate : float
        In [0, 1).

    Raises
    ------
    ValueError
        If ``rate`` is not in [0, 1).

    References
    ----------
    Srivastava, N. et al. (2014). Dropout: a simple way to prevent neural networks from overfitting.
    Journal of Machine Learning Research 15.
    """

    rate: float

    penalised: ClassVar[frozenset[str]] = frozenset()
    collective = False

    def __post_init__(self):
        check_number(self, "rate", 0, below=1)

    def init(self, rng, in_shape):
        return {}, tuple(in_shape)

    def forward(self, kernels, params, x, step):
        if not step.training or self.rate == 0:
            return x, None
        shape = x.shape[1:]
        # Single precision whatever the network's, so that both drop the same entries.
        drawn = step.rows(lambda rng, size: rng.random((size, *shape), dtype=np.float32))
        kept = kernels.xp.asarray(drawn) >= np.float32(self.rate)
        factor = kernels.xp.multiply(kept, x.dtype.type(1.0 / (1.0 - self.rate)))
        return x * factor, factor

    def backward(self, kernels, params, tape, dout, grads, step):
        if not step.inner:
            return None
        return dout if tape is None else dout * tape
