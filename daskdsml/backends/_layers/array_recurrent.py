"""Kernels of recurrent layers in functions of an array namespace."""

from typing import Any


class ArrayRecurrent:
    """Kernels of recurrent layers; ``self.xp`` is the namespace.

    Time comes first, n rows have T steps of p features, a layer has u units. ``joined (T + 1, n, p
    + u)`` holds [x_t | h_{t-1}] at step t, so that one product gives all a step's gates and another
    the gradient of all weights ``weights (p + u, G u)``, input above state; the last row has no x.
    ``mask (T, n)`` tells which steps count: the others hand the state on.

    Backward, ``dsteps (S, n, u)`` are gradients of the loss in the last S states, and ``dh (n, u)``
    (``dc`` alike) goes from zeros to the gradient in the first state. Written are ``dweights``,
    ``dbias (G u,)``, ``dx (T, n, p)`` and ``norms (T,)`` (norms of the gradient in the state after
    each step, all parts of it together); the last two may be None. ``work`` gives buffers.
    """

    xp: Any

    def elman_forward(self, joined, weights, bias, mask) -> None:
        """Write the states ``h = tanh([x | h] weights + bias)`` into ``joined``."""
        p = joined.shape[2] - weights.shape[1]
        for t in range(len(mask)):
            h = self.xp.tanh(joined[t] @ weights + bias)
            joined[t + 1, :, p:] = self.xp.where(mask[t, :, None], h, joined[t, :, p:])

    def elman_backward(self, joined, weights, mask, dsteps, dh, dweights, dbias, dx, norms, work):
        p = joined.shape[2] - dh.shape[1]
        slopes = work("slopes", (len(mask), len(dh), weights.shape[1]))
        for t in reversed(range(len(mask))):
            self._meet(t, len(mask), dsteps, (dh,), norms)
            counts = mask[t, :, None]
            h = joined[t + 1, :, p:]
            slopes[t] = self.xp.where(counts, dh * (1 - h * h), 0)
            dh[...] = self.xp.where(counts, slopes[t] @ weights[p:].T, dh)
        self._gather_steps(joined[:-1], slopes, weights, dweights, dbias, dx)

    def lstm_forward(self, joined, weights, bias, mask, gates, cells, squashed) -> None:
        """Write the states into ``joined``, and what `lstm_backward` needs.

        ``gates (T, n, 4 u)`` become i | f | g | o, ``cells (T + 1, n, u)`` the cells before each
        step (the first ones are given) and after the last, ``squashed (T, n, u)`` their tanh.
        """
        u = cells.shape[2]
        p = joined.shape[2] - u
        for t in range(len(mask)):
            counts = mask[t, :, None]
            gates[t] = joined[t] @ weights + bias
            gates[t, :, : 2 * u] = self._sigmoid(gates[t, :, : 2 * u])
            gates[t, :, 2 * u : 3 * u] = self.xp.tanh(gates[t, :, 2 * u : 3 * u])
            gates[t, :, 3 * u :] = self._sigmoid(gates[t, :, 3 * u :])
            i, f, g, o = (gates[t, :, k * u : (k + 1) * u] for k in range(4))
            cells[t + 1] = self.xp.where(counts, f * cells[t] + i * g, cells[t])
            squashed[t] = self.xp.tanh(cells[t + 1])
            joined[t + 1, :, p:] = self.xp.where(counts, o * squashed[t], joined[t, :, p:])

    def lstm_backward(
        self, joined, weights, mask, gates, cells, squashed,
        dsteps, dh, dc, dweights, dbias, dx, norms, work,
    ):  # fmt: skip
        u = dh.shape[1]
        p = joined.shape[2] - u
        slopes = work("slopes", gates.shape)
        for t in reversed(range(len(mask))):
            self._meet(t, len(mask), dsteps, (dh, dc), norms)
            counts = mask[t, :, None]
            i, f, g, o = (gates[t, :, k * u : (k + 1) * u] for k in range(4))
            s = squashed[t]
            dcell = dc + dh * o * (1 - s * s)
            parts = (
                dcell * g * i * (1 - i),
                dcell * cells[t] * f * (1 - f),
                dcell * i * (1 - g * g),
                dh * s * o * (1 - o),
            )
            slopes[t] = self.xp.where(counts, self.xp.concatenate(parts, axis=1), 0)
            dc[...] = self.xp.where(counts, dcell * f, dc)
            dh[...] = self.xp.where(counts, slopes[t] @ weights[p:].T, dh)
        self._gather_steps(joined[:-1], slopes, weights, dweights, dbias, dx)

    def gru_forward(self, joined, reset, weights, weights_g, bias, bias_g, mask, gates, g) -> None:
        """Write the states into ``joined``, and what `gru_backward` needs.

        ``weights (p + u, 2 u)`` are those of z | r, ``weights_g (p + u, u)`` those of g, which
        meets ``reset (T, n, p + u)``, [x | r h]; ``gates (T, n, 2 u)`` and ``g (T, n, u)``.
        """
        u = g.shape[2]
        p = joined.shape[2] - u
        for t in range(len(mask)):
            h = joined[t, :, p:]
            gates[t] = self._sigmoid(joined[t] @ weights + bias)
            z, r = gates[t, :, :u], gates[t, :, u:]
            reset[t, :, p:] = r * h
            g[t] = self.xp.tanh(reset[t] @ weights_g + bias_g)
            new = z * h + (1 - z) * g[t]
            joined[t + 1, :, p:] = self.xp.where(mask[t, :, None], new, h)

    def gru_backward(
        self, joined, reset, weights, weights_g, mask, gates, g,
        dsteps, dh, dweights, dweights_g, dbias, dbias_g, dx, norms, work,
    ):  # fmt: skip
        u = dh.shape[1]
        p = joined.shape[2] - u
        slopes, slopes_g = work("slopes", gates.shape), work("slopes_g", g.shape)
        for t in reversed(range(len(mask))):
            self._meet(t, len(mask), dsteps, (dh,), norms)
            counts = mask[t, :, None]
            h, z, r = joined[t, :, p:], gates[t, :, :u], gates[t, :, u:]
            slopes_g[t] = self.xp.where(counts, dh * (1 - z) * (1 - g[t] * g[t]), 0)
            dreset = slopes_g[t] @ weights_g[p:].T
            parts = dh * (h - g[t]) * z * (1 - z), dreset * h * r * (1 - r)
            slopes[t] = self.xp.where(counts, self.xp.concatenate(parts, axis=1), 0)
            before = slopes[t] @ weights[p:].T + dh * z + dreset * r
            dh[...] = self.xp.where(counts, before, dh)
        dx_g = None if dx is None else self.xp.empty_like(dx)
        self._gather_steps(joined[:-1], slopes, weights, dweights, dbias, dx)
        self._gather_steps(reset, slopes_g, weights_g, dweights_g, dbias_g, dx_g)
        if dx is not None:
            dx += dx_g

    def scatter_rows(self, codes, rows, table) -> None:
        """Write into each row k of ``table`` the sum of the ``rows`` whose code is k."""
        table[...] = 0
        self.xp.add.at(table, codes, rows)

    def _sigmoid(self, a):
        # By tanh, which never overflows.
        return 0.5 * self.xp.tanh(0.5 * a) + 0.5

    def _meet(self, t, steps, dsteps, dstates, norms) -> None:
        """Add the loss's gradient in h after step t to that in ``dstates``, h first."""
        if t >= steps - len(dsteps):
            dstates[0][...] += dsteps[t - steps + len(dsteps)]
        if norms is not None:
            norms[t] = self.xp.sqrt(sum((dstate * dstate).sum() for dstate in dstates))

    def _gather_steps(self, inputs, slopes, weights, dweights, dbias, dx) -> None:
        """Gradients of all steps from the ``slopes (T, n, G u)`` in the sums the gates take."""
        flat = slopes.reshape(-1, slopes.shape[2])
        dweights[...] = inputs.reshape(-1, inputs.shape[2]).T @ flat
        dbias[...] = flat.sum(0)
        if dx is not None:
            dx[...] = slopes @ weights[: dx.shape[2]].T
