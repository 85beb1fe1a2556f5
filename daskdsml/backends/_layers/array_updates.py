"""Kernels of mini-batch solvers in functions of an array namespace."""


class ArrayUpdates:
    """Kernels of mini-batch solvers; ``self.xp`` is the namespace."""
