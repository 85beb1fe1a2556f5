"""Classification by layers of the user's choice."""

from __future__ import annotations

from daskdsml.neural_network._classifier import NeuralClassification
from daskdsml.neural_network._network_model import SolverOptions


class NeuralClassifier(SolverOptions, NeuralClassification):
    """A network of given layers that tells classes, trained on mini-batches of Dask data.

    Minimises the mean cross-entropy ``sum_i w_i (-log p_{y_i}(x_i)) / sum_i w_i`` plus penalties,
    where ``p`` is the softmax of the last layer's K scores, or the logistic function of its one
    score of two classes. An epoch takes chunks in random order into a pool (``pool_bytes``) and
    draws batches from all of it; a batch that is spread over workers has the gradient of the whole
    batch.

    Parameters
    ----------
    layers : list of layers of `daskdsml.layers`
        The last one gives K scores for each row: ``Dense(K)``, or ``Dense(1)`` for two classes. An
        ``Activation("softmax")`` (or "logistic") after it is taken into the loss.
    solver : str or solver, default="adam"
        "adam", "gradient_descent", "momentum", "nesterov", "rmsprop", "adagrad", or one with
        settings of its own, such as ``daskdsml.optimizers.Adam(beta_1=0.8)``.
    learning_rate_init : float or None, default=0.001
        The learning rate that schedules start from; None for the solver's own. A solver that is
        given with its settings has its own.
    learning_rate : str, schedule or callable, default="constant"
        "constant", "adaptive" (a fifth where training would end), a schedule of
        `daskdsml.optimizers.schedules` by name or with settings, or a factor ``f(step, epoch,
        n_steps)``.
    batch_size : int, default=128
        Rows of a step. The last batch of an epoch may be shorter.
    max_iter : int, default=100
        Most epochs.
    l1, l2 : float, default=0.0
        ``l1 |W|_1 + l2 / 2 ||W||**2`` is added to the mean loss, for weights and filters; biases
        and batch norm are not penalised. The derivative of ``|W|`` at 0 is taken as 0.
    clip_norm : float or None, default=None
        Longest gradient: longer ones are scaled down to it.
    shuffle : bool, default=True
        Whether rows are met in another order in each epoch.
    pool_bytes : int, default=2**28
        Bytes of X that rows are drawn from: data of this size or less are shuffled as a whole;
        larger data by chunks in random order, of which a pool of this size is mixed at a time: if
        they are sorted by label, it should hold ten chunks or more.
    tol : float or None, default=None
        Training ends when ``n_iter_no_change`` epochs in a row did not better the best loss (or
        validation score) by ``tol``; None makes ``max_iter`` epochs.
    n_iter_no_change : int, default=10
        See ``tol``.
    early_stopping : bool, default=False
        Whether a validation score tells when to end; the best weights are put back. Without
        ``tol``, all epochs are made.
    validation_fraction : float, default=0.1
        Share of rows held out to be scored, unless `fit` gets ``X_val``.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class (of its steps, for a tagger); "balanced" is ``n / (K n_class)``.
    callbacks : list of callables or None, default=None
        ``f(model, record)`` after each epoch (see ``history_``); True from one ends training. The
        model can predict and be saved meanwhile.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the last fit.
    random_state : int or None, default=None
        Seed of all that is drawn; None means 0, so that fits can be repeated. The bits of a fit do
        not depend on the number of threads.
    dtype : {"float32", "float64"}, default="float32"
        Of weights and of what is computed with them.
    backend : {"auto", "numpy", "numba", "cupy"}, default="auto"
        "auto" compiles where there is much to learn from.
    cache : {"auto", "memory", "none"}, default="auto"
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    verbose : bool, default=False
        Whether to show a progress bar: epoch, loss, validation score, rows per second.

    Attributes
    ----------
    classes_ : array (K,), the labels, sorted
    layers_ : list of layers up to the raw scores
    weights_ : list of dicts of arrays, one a layer
    n_parameters_ : int
    n_iter_, t_ : int
        Epochs and steps.
    history_ : list of Epoch (epoch, seconds, loss, score, gradient_norm, learning_rate,
        rows_per_second)
    loss_, best_loss_ : float
    loss_curve_ : list of the epochs' losses
    validation_scores_, best_validation_score_ : list and float, or None
    converged_ : bool
        Whether training ended by ``tol`` or a callback.
    n_rows_read_ : int
        Rows of X read.

    References
    ----------
    Goodfellow, I., Bengio, Y. and Courville, A. (2016). Deep Learning. MIT Press, chapters 6 and 8.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.layers import Dense
    >>> from daskdsml.neural_network import NeuralClassifier
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> layers = [Dense(32, "relu"), Dense(1)]
    >>> model = NeuralClassifier(layers, learning_rate_init=0.01, max_iter=30).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> model.layers_
    [Dense(32, activation='relu'), Dense(1)]
    """

    _label = "neural-classifier"
    _links = ("softmax", "logistic")

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
