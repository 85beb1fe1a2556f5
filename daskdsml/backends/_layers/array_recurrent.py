"""Kernels of recurrent layers in functions of an array namespace."""


class ArrayRecurrent:
    """Kernels of recurrent layers; ``self.xp`` is the namespace."""
