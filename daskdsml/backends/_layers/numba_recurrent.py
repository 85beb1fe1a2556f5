"""Kernels of recurrent layers in compiled loops."""


class NumbaRecurrent:
    """Compiled kernels of recurrent layers."""
