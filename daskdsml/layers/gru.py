"""Gated recurrent units. Found by name."""

from __future__ import annotations

from daskdsml.layers._recurrent import Recurrent
from daskdsml.layers._settings import layer


@layer
class GRU(Recurrent):
    """Gated recurrent units [1]_.

    ``h_t = z * h_{t-1} + (1 - z) * g`` with the update and reset gates ``z`` and ``r``, logistic
    functions of ``x_t Wx + h_{t-1} Wh + b``, and ``g = tanh(x_t Wxg + (r * h_{t-1}) Whg + bg)``:
    the reset gate acts before the product, not after it as in PyTorch.

    It takes rows (T, p) and gives the state after the last step (units,), or all states (T, units).
    Parameters are ``Wx (p, 3 units)``, ``Wh (units, 3 units)``, ``b (3 units,)``, gates in the
    order z | r | g, and, where the first state is learned, ``h0 (units,)``. ``h0`` may also be
    (n, units), a state for each row.

    Gradients go from the last step to the first, with the gates of step t, ``Whz | Whr | Whg`` for
    the parts of Wh and ``dq`` for the gradient in ``r h_{t-1}``,

        ``da_g = (1 - g**2) (1 - z) dh_t``, ``dq = da_g Whg'``,
        ``da_z = z (1 - z) (h_{t-1} - g) dh_t``, ``da_r = r (1 - r) h_{t-1} dq``,
        ``dh_{t-1} += z dh_t + r dq + da_z Whz' + da_r Whr'``,
        ``dWhg = sum_t (r h_{t-1})' da_g``,

    and those in all else follow from ``da = da_z | da_r | da_g`` as in `RNN`.

    A masked step hands the state on as it is, whatever stands there in x, and its gradient back; so
    the state after the last step is that after a row's last step that counts.

    Weights of each gate begin as those of `RNN`. The update gate's bias begins at 1, as that of an
    LSTM's forget gate, so that states are kept until the layer has learned when to change them
    [2]_; all else begins at zero.

    Parameters
    ----------
    units, return_sequences, initial_state, weights, trainable : see `RNN`

    Raises
    ------
    ValueError
        As `RNN` does.

    References
    ----------
    .. [1] Cho, K. et al. (2014). Learning phrase representations using RNN encoder-decoder for
       statistical machine translation. EMNLP.
    .. [2] Jozefowicz, R., Zaremba, W. and Sutskever, I. (2015). An empirical exploration of
       recurrent network architectures. ICML.
    """

    # The gates z and r meet [x | h], g meets [x | r h].
    blocks = (2, 1)

    def _first_bias(self):
        b = super()._first_bias()
        b[: self.units] = 1
        return b

    def _memory(self, work, joined, p):
        steps, n, width = len(joined) - 1, joined.shape[1], joined.shape[2]
        reset = work("reset", (steps, n, width))
        reset[:, :, :p] = joined[:-1, :, :p]
        gates = work("gates", (steps, n, 2 * self.units))
        return reset, gates, work("candidates", (steps, n, self.units))

    def _run(self, kernels, joined, weights, biases, mask, memory):
        reset, gates, g = memory
        kernels.gru_forward(joined, reset, *weights, *biases, mask, gates, g)

    def _run_back(self, kernels, tape, dsteps, dstates, dweights, dbiases, dx, norms, work):
        reset, gates, g = tape.memory
        kernels.gru_backward(
            tape.joined, reset, *tape.weights, tape.mask, gates, g, dsteps, *dstates, *dweights,
            *dbiases, dx, norms, work,
        )  # fmt: skip
