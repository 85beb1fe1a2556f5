"""Mean entries of windows over images."""

from __future__ import annotations

from daskdsml.layers._pooling import Pool2D
from daskdsml.layers._settings import layer


@layer
class AveragePool2D(Pool2D):
    """The mean of each window of a channel.

    ``out[n, c, y, x] = mean_ij in[n, c, y s + i, x s + j]`` for stride ``s``. Images
    ``(n, C, H, W)`` become ``(n, C, H', W')`` with ``H' = (H - size) // s + 1``, so rows and
    columns at the end that fill no window are left out; rows of shape (H, W) have one channel.

    Parameters
    ----------
    size, stride, data_format : see `MaxPool2D`

    References
    ----------
    Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998.
    """

    def _run(self, kernels, images, frame, work):
        return kernels.average_pool(images, frame, work), None

    def _run_back(self, kernels, dout, memory, shape, frame, work):
        return kernels.average_pool_back(dout, shape, frame, work)
