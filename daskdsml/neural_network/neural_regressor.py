"""Regression by layers of the user's choice."""

from __future__ import annotations

from daskdsml.neural_network._network_model import SolverOptions
from daskdsml.neural_network._regressor import NeuralRegression


class NeuralRegressor(SolverOptions, NeuralRegression):
    """A network of given layers that predicts numbers, trained on mini-batches of Dask data.

    Minimises ``sum_i w_i mean_k loss(y_ik, z_k(x_i)) / sum_i w_i`` plus penalties, for K outputs.

    Parameters
    ----------
    layers : list of layers of `daskdsml.layers`
        The last one gives a score for each target: ``Dense(K)``.
    loss : str, default="squared_error"
        "squared_error" (half the square); "poisson" for counts of at least 0 and "gamma" for
        amounts above 0, which predict the exponential of the score; "huber_residual",
        "epsilon_insensitive", "squared_epsilon_insensitive".

    All other parameters and attributes are those of `NeuralClassifier`.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.layers import Dense
    >>> from daskdsml.neural_network import NeuralRegressor
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = X[:, 0] * X[:, 1]
    >>> layers = [Dense(32, "relu"), Dense(1)]
    >>> model = NeuralRegressor(layers, learning_rate_init=0.01, max_iter=30).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _label = "neural-regressor"

    def __init__(
        self,
        layers,
        *,
        loss="squared_error",
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
        callbacks=None,
        warm_start=False,
        random_state=None,
        dtype="float32",
        backend="auto",
        cache="auto",
        verbose=False,
    ):
        self.layers = layers
        self.loss = loss
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
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype
        self.backend = backend
        self.cache = cache
        self.verbose = verbose
