"""Kernels of convolution and pooling in compiled loops."""


class NumbaConvolution:
    """Compiled kernels of convolution and pooling."""
