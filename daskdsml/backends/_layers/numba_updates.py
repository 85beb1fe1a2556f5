"""Kernels of mini-batch solvers in compiled loops."""


class NumbaUpdates:
    """Compiled kernels of mini-batch solvers."""
