"""A label for each step of a sequence."""

from __future__ import annotations

from daskdsml.neural_network.neural_classifier import NeuralClassifier


class SequenceTagger(NeuralClassifier):
    """A network of given layers that tells a class for each time step.

    Minimises the mean cross-entropy over all steps that ``mask`` does not hide, each weighed like
    its row, or by a weight of its own (``sample_weight (n, T)``). Steps that are hidden are carried
    over by recurrent layers. ``step_losses`` in ``history_`` tells the loss at each step.

    Parameters
    ----------
    layers : list of layers of `daskdsml.layers`
        The last one gives K scores for each step: recurrent layers with ``return_sequences=True``,
        then ``Dense(K)``.

    All other parameters and attributes are those of `NeuralClassifier`.

    References
    ----------
    Graves, A. (2012). Supervised Sequence Labelling with Recurrent Neural Networks. Springer.

    Examples
    --------
    Is the sum of all steps so far above zero?

    >>> import dask.array as da
    >>> from daskdsml.layers import Dense, RNN
    >>> from daskdsml.neural_network import SequenceTagger
    >>> X = da.random.default_rng(0).normal(size=(500, 6, 1), chunks=(250, 6, 1))
    >>> y = (X[:, :, 0].cumsum(axis=1) > 0).astype(int)
    >>> layers = [RNN(8, return_sequences=True), Dense(2)]
    >>> model = SequenceTagger(layers, learning_rate_init=0.02, max_iter=20).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _label = "sequence-tagger"
    _target_options = {"labels": True, "y_steps": True}
