"""Classification by layers of the user's choice."""

from __future__ import annotations

from daskdsml.neural_network._classifier import NeuralClassification
from daskdsml.neural_network._network_model import Named


class NeuralClassifier(Named, NeuralClassification):
    """A network of given layers that tells classes, trained on mini-batches of Dask data.

    Minimises the mean cross-entropy ``sum_i w_i (-log p_{y_i}(x_i)) / sum_i w_i`` plus penalties,
    where ``p`` is the softmax of the last layer's K scores, or the logistic function of its one
    score of two classes. An epoch goes through blocks in random order and mixes the rows of
    neighbouring ones; a batch that is spread over workers has the gradient of the whole batch.

    Parameters
    ----------
    layers : list of layers of `daskdsml.layers`
        The last one gives K scores for each row: ``Dense(K)``, or ``Dense(1)`` for two classes. An
        ``Activation("softmax")`` (or "logistic") after it is taken into the loss.
    solver : str or solver
        "adam", "gradient_descent", "momentum", "nesterov", "rmsprop", "adagrad", or one with
        settings of its own, such as ``daskdsml.solvers.adam.Adam(beta_1=0.8)``.
    learning_rate_init : float or None
        The learning rate that schedules start from; None for the solver's own. A solver that is
        given with its settings has its own.
    learning_rate : str, schedule or callable
        "constant", "adaptive" (a fifth where training would end), a schedule of
        `daskdsml.schedules` by name or with settings, or ``f(step, epoch, n_steps)``, a factor.
    batch_size : int
        Rows of a step. The last batch of an epoch may be shorter.
    max_iter : int
        Most epochs.
    l1, l2 : float
        ``l1 |W|_1 + l2 / 2 ||W||**2`` is added to the mean loss, for weights and filters; biases
        and batch norm go free. The derivative of ``|W|`` at 0 is taken as 0.
    clip_norm : float or None
        Longest gradient: longer ones are scaled down to it.
    shuffle : bool
        Whether rows are met in another order in each epoch.
    pool_bytes : int
        Bytes of X that rows are drawn from: data of this size or less are shuffled as a whole;
        larger data by chunks in random order, of which a pool of this size is mixed at a time: if
        they are sorted by label, it should hold ten chunks or more.
    tol : float or None
        Training ends when ``n_iter_no_change`` epochs in a row did not better the best loss (or
        validation score) by ``tol``; None makes ``max_iter`` epochs.
    n_iter_no_change : int
    early_stopping : bool
        Whether a validation score tells when to end; the best weights are put back. Without
        ``tol``, all epochs are made.
    validation_fraction : float
        Share of rows held out to be scored, unless `fit` gets ``X_val``.
    class_weight : dict, "balanced" or None
        Weight of each class (of its steps, for a tagger); "balanced" is ``n / (K n_class)``.
    callbacks : list of callables or None
        ``f(model, record)`` after each epoch (see ``history_``); True from one ends training. The
        model can predict and be saved meanwhile.
    warm_start : bool
        Whether `fit` starts from the weights of the last fit.
    random_state : int or None
        Seed of all that is drawn; None means 0, so that fits can be repeated. The bits of a fit do
        not depend on the number of threads.
    dtype : {"float32", "float64"}
    backend : {"auto", "numpy", "numba", "cupy"}
        "auto" compiles where there is much to learn from.
    cache : {"auto", "memory", "none"}
        Whether blocks are kept in (workers') memory after the first read: "auto" if they fit.
    verbose : bool
        Whether to show a progress bar: loss, validation score, rows per second.

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
