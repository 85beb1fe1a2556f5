"""Elman's recurrent layer. Found by name."""

from __future__ import annotations

from daskdsml.layers._recurrent import Recurrent
from daskdsml.layers._settings import layer


@layer
class RNN(Recurrent):
    """Elman's recurrent layer [1]_: ``h_t = tanh(x_t Wx + h_{t-1} Wh + b)``.

    It takes rows (T, p) and gives the state after the last step (units,), or all states (T, units).
    Parameters are ``Wx (p, units)``, ``Wh (units, units)``, ``b (units,)`` and, where the first
    state is learned, ``h0 (units,)``. ``h0`` may also be (n, units), a state for each row.

    Gradients go from the last step to the first, ``dh_t`` in the state after step t,

        ``da_t = (1 - h_t**2) dh_t``, ``dh_{t-1} += da_t Wh'``, ``dx_t = da_t Wx'``,
        ``dWx = sum_t x_t' da_t``, ``dWh = sum_t h_{t-1}' da_t``, ``db = sum_t da_t``,

    the last one summed over rows, too.

    A masked step hands the state on as it is, whatever stands there in x, and its gradient back; so
    the state after the last step is that after a row's last step that counts.

    ``Wx`` begins uniform with the variance 2 / (p + units) [2]_, ``Wh`` as a random orthogonal
    matrix [3]_, which neither shrinks nor stretches gradients on their way through time; the slopes
    of tanh still do. ``b`` and ``h0`` begin at zero.

    Parameters
    ----------
    units : int
        Length of the state.
    return_sequences : bool, default=False
        Whether to give the states after all steps.
    initial_state : {"zeros", "learned"}, default="zeros"
    weights : dict of arrays or None, default=None
        Parameters to begin with, by the names that ``weights_`` of a network has; others are drawn.
    trainable : bool, default=True
        Whether training changes the parameters.

    Raises
    ------
    ValueError
        If ``units`` is no positive integer, ``return_sequences`` no bool, or ``initial_state``
        unknown; from ``init``, if a row is not (T, p) with at least one of each; from ``forward``,
        if there is no step, or the mask is not (n, T).

    References
    ----------
    .. [1] Elman, J. L. (1990). Finding structure in time. Cognitive Science 14(2).
    .. [2] Glorot, X. and Bengio, Y. (2010). Understanding the difficulty of training deep
       feedforward neural networks. AISTATS.
    .. [3] Saxe, A. M., McClelland, J. L. and Ganguli, S. (2014). Exact solutions to the nonlinear
       dynamics of learning in deep linear neural networks. ICLR.
    """

    blocks = (1,)

    def _memory(self, work, joined, p):
        return ()

    def _run(self, kernels, joined, weights, biases, mask, memory):
        kernels.elman_forward(joined, *weights, *biases, mask)

    def _run_back(self, kernels, tape, dsteps, dstates, dweights, dbiases, dx, norms, work):
        kernels.elman_backward(
            tape.joined, *tape.weights, tape.mask, dsteps, *dstates, *dweights, *dbiases,
            dx, norms, work,
        )  # fmt: skip
