"""A table of a network's layers, as text and as HTML; for `NeuralModel.describe`."""

from __future__ import annotations

from dataclasses import is_dataclass
from html import escape
from itertools import compress
from typing import NamedTuple

import numpy as np

from daskdsml.neural_network.network import Network


class DescribedLayer(NamedTuple):
    """One layer: the shape of one row it gives, and how many numbers it holds.

    ``fixed`` of the ``parameters`` are not trainable. ``statistics`` are not learnt but follow the
    batches; ``n_bytes`` counts them, too.
    """

    layer: str
    output_shape: tuple
    parameters: int
    fixed: int
    statistics: int
    n_bytes: int


class Description:
    """What a network is made of; prints as a table, and shows as one in a notebook.

    Attributes
    ----------
    title : str
    layers : tuple of DescribedLayer
    n_parameters, n_fixed, n_statistics, n_bytes : int
    note : str, what is not known yet
    """

    def __init__(self, title: str, layers: tuple[DescribedLayer, ...], note: str = ""):
        self.title, self.layers, self.note = title, layers, note
        self.n_parameters = sum(layer.parameters for layer in layers)
        self.n_fixed = sum(layer.fixed for layer in layers)
        self.n_statistics = sum(layer.statistics for layer in layers)
        self.n_bytes = sum(layer.n_bytes for layer in layers)

    @property
    def frame(self):
        """A pandas DataFrame with a row for each layer."""
        from pandas import DataFrame  # slow to import

        return DataFrame(self.layers, columns=DescribedLayer._fields).set_index("layer")

    def __repr__(self) -> str:
        head, *rows, total = aligned(self._cells(), 2)
        rule = "-" * len(head)
        return "\n".join(
            [self.title, "", head, rule, *rows, rule, total, *([self.note] if self.note else [])]
        )

    def _repr_html_(self) -> str:
        from pandas import DataFrame

        head, *rows = self._cells()
        table = DataFrame(rows, columns=head).to_html(index=False)
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return f"<p>{escape(self.title)}</p>{table}{note}"

    def _cells(self) -> list[list[str]]:
        """Head, layers and total, as they are shown: a column only where there are some of it."""
        head = ["layer", "output shape", "parameters", "of them fixed", "statistics", "bytes"]
        counts = (self.n_parameters, self.n_fixed, self.n_statistics, self.n_bytes)
        rows = [
            [name, str(shape), *(f"{count:,}" for count in numbers), shown_bytes(n)]
            for name, shape, *numbers, n in [*self.layers, ("total", "", *counts)]
        ]
        shown = (True, True, True, self.n_fixed > 0, self.n_statistics > 0, True)
        return [list(compress(row, shown)) for row in [head, *rows]]


def describe(network: Network, title: str, note: str = "") -> Description:
    """What ``network`` is made of."""
    title = f"{title}: rows {network.in_shape}, {network.dtype}"
    return Description(title, tuple(_described(network)), note)


def _described(network):
    for i, placed in enumerate(network.placed):
        learnt, following = map(_n_numbers, (placed.parameters, placed.statistics))
        # A layer of the user's own need not be a dataclass.
        shown = placed.layer if is_dataclass(placed.layer) else type(placed.layer).__name__
        fixed = 0 if placed.trainable else learnt
        n_bytes = network.dtype.itemsize * (learnt + following)
        yield DescribedLayer(f"{i} {shown}", placed.out_shape, learnt, fixed, following, n_bytes)


def _n_numbers(slices) -> int:
    return sum(where.stop - where.start for _, where, _ in slices)


def shown_bytes(n: int) -> str:
    """Bytes in the largest binary unit of which there is at least one."""
    if n < 1024:
        return f"{n} B"
    power = min(int(np.log2(n)) // 10, 4)
    return f"{n / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def aligned(rows, n_texts) -> list[str]:
    """Rows of cells as lines: the first ``n_texts`` columns flush left, numbers flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = ["<"] * n_texts + [">"] * (len(widths) - n_texts)
    lines = ([f"{c:{s}{w}}" for c, s, w in zip(row, sides, widths, strict=True)] for row in rows)
    return ["  ".join(line).rstrip() for line in lines]
