"""Kernels of convolution and pooling in functions of an array namespace."""


class ArrayConvolution:
    """Kernels of convolution and pooling; ``self.xp`` is the namespace."""
