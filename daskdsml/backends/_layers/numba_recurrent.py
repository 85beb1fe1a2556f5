"""Kernels of recurrent layers in compiled loops."""

from __future__ import annotations

import numpy as np

from daskdsml.backends._layers import _recurrent_kernels as loops
from daskdsml.backends._layers._buffers import touch_buffers
from daskdsml.backends._layers._recurrent_rows import TILE_ROWS


class NumbaRecurrent:
    """Compiled kernels of recurrent layers; `ArrayRecurrent` describes them."""

    def elman_forward(self, joined, weights, bias, mask) -> None:
        touch_buffers()
        sums = np.empty((mask.shape[1], bias.size), joined.dtype)
        loops.elman_forward(joined, weights, bias, mask, sums)

    def elman_backward(self, joined, weights, mask, dsteps, dh, dweights, dbias, dx, norms, work):
        dx, norms = _begun(dx, norms, dweights, dbias)
        slopes = _slopes(mask, dbias, work)
        loops.elman_backward(joined, weights, mask, dsteps, dh, dweights, dbias, dx, norms, slopes)

    def lstm_forward(self, joined, weights, bias, mask, gates, cells, squashed) -> None:
        touch_buffers()
        loops.lstm_forward(joined, weights, bias, mask, gates, cells, squashed)

    def lstm_backward(
        self, joined, weights, mask, gates, cells, squashed,
        dsteps, dh, dc, dweights, dbias, dx, norms, work,
    ):  # fmt: skip
        dx, norms = _begun(dx, norms, dweights, dbias)
        slopes = _slopes(mask, dbias, work)
        loops.lstm_backward(
            joined, weights, mask, gates, cells, squashed,
            dsteps, dh, dc, dweights, dbias, dx, norms, slopes,
        )  # fmt: skip

    def gru_forward(self, joined, reset, weights, weights_g, bias, bias_g, mask, gates, g) -> None:
        touch_buffers()
        loops.gru_forward(joined, reset, weights, weights_g, bias, bias_g, mask, gates, g)

    def gru_backward(
        self, joined, reset, weights, weights_g, mask, gates, g,
        dsteps, dh, dweights, dweights_g, dbias, dbias_g, dx, norms, work,
    ):  # fmt: skip
        dx, norms = _begun(dx, norms, dweights, dweights_g, dbias, dbias_g)
        slopes = _slopes(mask, dbias, work)
        slopes_g = work("slopes_g", (*slopes.shape[:2], dbias_g.size))
        loops.gru_backward(
            joined, reset, weights, weights_g, mask, gates, g,
            dsteps, dh, dweights, dweights_g, dbias, dbias_g, dx, norms, slopes, slopes_g,
        )  # fmt: skip

    def scatter_rows(self, codes, rows, table) -> None:
        loops.scatter_rows(codes, np.ascontiguousarray(rows, table.dtype), table)


def _begun(dx, norms, *gradients):
    """Empty arrays for None, so that one machine code serves both; what is added to is zero."""
    real = gradients[0].dtype
    for array in gradients:
        array[...] = 0
    if dx is not None:
        dx[...] = 0
    return (
        np.empty((0, 0, 0), real) if dx is None else dx,
        np.empty(0, real) if norms is None else norms,
    )


def _slopes(mask, dbias, work):
    """A buffer of the slopes of as many steps as are gathered at once."""
    steps, n = mask.shape
    return work("slopes", (max(1, min(steps, TILE_ROWS // n)), n, dbias.size))
