"""A label for each step of a sequence."""

from __future__ import annotations

from daskdsml.neural_network._classifier import NeuralClassification
from daskdsml.neural_network._network_model import SolverOptions


class SequenceTagger(SolverOptions, NeuralClassification):
    """A network of given layers that tells a class for each time step.

    Minimises the mean cross-entropy over all steps that ``mask`` does not hide, each weighed like
    its row. Steps that are hidden are carried over by recurrent layers.

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
    >>> from daskdsml.layers.dense import Dense
    >>> from daskdsml.layers.rnn import RNN
    >>> from daskdsml.neural_network import SequenceTagger
    >>> X = da.random.default_rng(0).normal(size=(500, 6, 1), chunks=(250, 6, 1))
    >>> y = (X[:, :, 0].cumsum(axis=1) > 0).astype(int)
    >>> layers = [RNN(8, return_sequences=True), Dense(2)]
    >>> model = SequenceTagger(layers, learning_rate_init=0.02, max_iter=20).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _label = "sequence-tagger"
    _links = ("softmax",)
    _admission = {"labels": True, "y_steps": True}
    _out_rank = 2

    def __init__(
        self,
        layers,
        *,
        solver="adam",
        learning_rate_init=0.001,
        learning_rate="constant",
        batch_size=128,
        max_iter=100,
        l1=0.0,
        l2=0.0,
        clip_norm=None,
        shuffle=True,
        pool_bytes=2**28,
        tol=None,
        n_iter_no_change=10,
        early_stopping=False,
        validation_fraction=0.1,
        class_weight=None,
        callbacks=None,
        warm_start=False,
        random_state=None,
        dtype="float32",
        backend="auto",
        cache="auto",
        verbose=False,
    ):
        self.layers = layers
        self.solver = solver
        self.learning_rate_init = learning_rate_init
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.l1 = l1
        self.l2 = l2
        self.clip_norm = clip_norm
        self.shuffle = shuffle
        self.pool_bytes = pool_bytes
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.backend = backend
        self.cache = cache
        self.verbose = verbose
