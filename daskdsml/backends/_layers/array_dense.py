"""Kernels of dense layers, batch norm and losses in functions of an array namespace."""


class ArrayDense:
    """Kernels of dense layers, activations, batch norm and losses; ``self.xp`` is the namespace."""
