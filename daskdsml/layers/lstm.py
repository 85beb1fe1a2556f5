"""Long short-term memory. Found by name."""

from __future__ import annotations

from daskdsml.layers._recurrent import Recurrent
from daskdsml.layers._settings import layer


@layer
class LSTM(Recurrent):
    """Long short-term memory [1]_ with a forget gate [2]_.

    ``c_t = f * c_{t-1} + i * g`` and ``h_t = o * tanh(c_t)``, with the gates
    ``i | f | g | o = x_t Wx + h_{t-1} Wh + b``, of which ``g`` goes through tanh and the others
    through the logistic function.

    It takes rows (T, p) and gives the state h after the last step (units,), or all states
    (T, units). Parameters are ``Wx (p, 4 units)``, ``Wh (units, 4 units)``, ``b (4 units,)``, gates
    in the order above, and, where the first state is learned, ``h0`` and ``c0 (units,)``. These may
    also be (n, units), a state for each row.

    Gradients go from the last step to the first, with the gates and ``s = tanh(c_t)`` of step t,

        ``dc_t += o (1 - s**2) dh_t``, ``dc_{t-1} = f dc_t``, ``dh_{t-1} += da Wh'``,
        ``da_i = i (1 - i) g dc_t``, ``da_f = f (1 - f) c_{t-1} dc_t``,
        ``da_g = (1 - g**2) i dc_t``, ``da_o = o (1 - o) s dh_t``,

    and those in Wx, Wh, b and x follow from ``da = da_i | da_f | da_g | da_o`` as in `RNN`.

    A masked step hands both states on as they are, whatever stands there in x, and their gradients
    back; so the state after the last step is that after a row's last step that counts. The norm of
    a gradient in the state after a step is that of the gradients in h and c together.

    Weights of each gate begin as those of `RNN`. The forget gate's bias begins at 1, so that cells
    keep what they hold until the layer has learned what to forget [3]_; all else begins at zero.

    Parameters
    ----------
    units, return_sequences, initial_state, weights, trainable : see `RNN`

    Raises
    ------
    ValueError
        As `RNN` does.

    References
    ----------
    .. [1] Hochreiter, S. and Schmidhuber, J. (1997). Long short-term memory. Neural Computation
       9(8).
    .. [2] Gers, F. A., Schmidhuber, J. and Cummins, F. (2000). Learning to forget: continual
       prediction with LSTM. Neural Computation 12(10).
    .. [3] Jozefowicz, R., Zaremba, W. and Sutskever, I. (2015). An empirical exploration of
       recurrent network architectures. ICML.
    """

    blocks = (4,)
    states = ("h0", "c0")

    def _first_bias(self):
        b = super()._first_bias()
        b[self.units : 2 * self.units] = 1
        return b

    def _memory(self, work, joined, p):
        steps, n = len(joined) - 1, joined.shape[1]
        return (
            work("gates", (steps, n, 4 * self.units)),
            work("cells", (steps + 1, n, self.units)),
            work("squashed", (steps, n, self.units)),
        )

    def _first_states(self, joined, memory):
        return (*super()._first_states(joined, memory), memory[1][0])

    def _run(self, kernels, joined, weights, biases, mask, memory):
        kernels.lstm_forward(joined, *weights, *biases, mask, *memory)

    def _run_back(self, kernels, tape, dsteps, dstates, dweights, dbiases, dx, norms, work):
        kernels.lstm_backward(
            tape.joined, *tape.weights, tape.mask, *tape.memory, dsteps, *dstates, *dweights,
            *dbiases, dx, norms, work,
        )  # fmt: skip
