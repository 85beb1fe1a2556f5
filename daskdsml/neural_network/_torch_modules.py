"""Modules that PyTorch lacks. Only `_torch_layers` imports this file, for it imports PyTorch."""

from __future__ import annotations

import torch
from torch import nn


class Turned(nn.Module):
    """``inner``, which takes (n, features, T), for sequences (n, T, features)."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x.transpose(1, 2)).transpose(1, 2)


class Codes(nn.Module):
    """A table's rows at codes (n, T), which are integers or whole floats."""

    def __init__(self, table):
        super().__init__()
        self.table = table

    def forward(self, x):
        return self.table(x.long())


class Recurrence(nn.Module):
    """States of ``cell`` at all steps, or at the last.

    ``first`` are the states to begin with, each (units,), learned; none for zeros.
    """

    def __init__(self, cell, first, sequences):
        super().__init__()
        self.cell, self.sequences = cell, sequences
        self.first = nn.ParameterList(first)

    def forward(self, x):
        first = tuple(state.expand(1, len(x), -1).contiguous() for state in self.first)
        states, _ = self.cell(x, first if len(first) > 1 else first[0] if first else None)
        return states if self.sequences else states[:, -1]


class BothWays(nn.Module):
    """States of a walk ahead in time, and of another that walks back."""

    def __init__(self, ahead, back):
        super().__init__()
        self.ahead, self.back = ahead, back

    def forward(self, x):
        back = self.back(x.flip(1))
        return torch.cat([self.ahead(x), back.flip(1) if self.back.sequences else back], -1)


class ResetFirstGRU(nn.Module):
    """Gated recurrent units whose reset gate acts before the product; called as `torch.nn.GRU`.

    ``weight_x (p, 3 u)``, ``weight_h (u, 3 u)`` and ``bias (3 u,)``, gates in the order z | r | g;
    see `daskdsml.layers.gru.GRU`.
    """

    def __init__(self, weight_x, weight_h, bias):
        super().__init__()
        self.weight_x, self.weight_h, self.bias = map(nn.Parameter, (weight_x, weight_h, bias))

    def forward(self, x, first=None):
        u = len(self.weight_h)
        from_x = x @ self.weight_x + self.bias
        h = x.new_zeros(len(x), u) if first is None else first[0]
        states = []
        for t in range(x.shape[1]):
            z, r = torch.sigmoid(from_x[:, t, : 2 * u] + h @ self.weight_h[:, : 2 * u]).chunk(2, -1)
            g = torch.tanh(from_x[:, t, 2 * u :] + (r * h) @ self.weight_h[:, 2 * u :])
            h = z * h + (1 - z) * g
            states.append(h)
        return torch.stack(states, 1), h[None]
