"""Kernels of dense layers, activations, batch norm and losses in compiled loops."""


class NumbaDense:
    """Compiled kernels of dense layers, activations, batch norm and losses."""
