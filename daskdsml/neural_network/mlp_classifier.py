"""Classification by a multi-layer perceptron with scikit-learn's parameters."""

from __future__ import annotations

from daskdsml.neural_network._classifier import NeuralClassification
from daskdsml.neural_network._mlp import MLP


class MLPClassifier(MLP, NeuralClassification):
    """Multi-layer perceptron [1]_ that tells classes, with scikit-learn's parameters and more.

    Minimises the mean cross-entropy plus ``alpha / (2 batch_size) ||W||**2``. A last layer of K
    scores has the softmax, one of two classes is a single score with the logistic function.

    Parameters
    ----------
    hidden_layer_sizes : int or tuple of int, default=(100,)
        Units of the hidden layers; () makes logistic regression.
    activation : {"identity", "logistic", "tanh", "relu"}, default="relu"
        Of the hidden layers.
    solver : {"adam", "sgd", "lbfgs"}, default="adam"
        "adam" [2]_; "sgd" with ``momentum`` (Nesterov's by default); "lbfgs" takes all rows in each
        step, one pass over the data, in float64.
    alpha : float, default=0.0001
        ``alpha / 2 ||W||**2`` is added to the summed loss of a batch, as in scikit-learn: divided
        by ``batch_size`` it is the strength against the mean loss. Biases are not penalised.
    batch_size : int or "auto", default="auto"
        Rows of a step; "auto" is 200, or all rows if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For "adam", too. "adaptive" divides by 5 where training would end.
    learning_rate_init : float, default=0.001
        The learning rate that training begins with.
    power_t : float, default=0.5
        "invscaling" divides the rate by ``(t + 1)**power_t``, for t rows in the epochs before.
    max_iter : int, default=200
        Most epochs; most iterations of "lbfgs".
    shuffle : bool, default=True
        Whether rows are met in another order in each epoch.
    random_state : int or None, default=None
        Seed of all that is drawn; None means 0, so that fits can be repeated.
    tol : float or None, default=1e-4
        Training ends when ``n_iter_no_change`` epochs in a row did not better the best loss (or
        validation score) by ``tol``; "lbfgs" ends when no entry of the gradient is above it.
    verbose : bool, default=False
        Whether to show a progress bar.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the last fit.
    momentum : float, default=0.9
        Of "sgd": the share of the last step that the next one keeps.
    nesterovs_momentum : bool, default=True
        Whether the momentum of "sgd" is Nesterov's.
    early_stopping : bool, default=False
        Whether a validation score tells when to end; the best weights are put back.
    validation_fraction : float, default=0.1
        Share of rows held out to be scored with ``early_stopping``, unless `fit` gets ``X_val``.
    beta_1, beta_2 : float, default=0.9 and 0.999
        Of "adam": shares of the past in the running means of gradients and of their squares.
    epsilon : float, default=1e-8
        Of "adam": added to the root of the mean square.
    n_iter_no_change : int, default=10
        Epochs in a row without a better loss (or score) after which training ends; see ``tol``.
    max_fun : int, default=15000
        Most passes of "lbfgs": one at the start and mostly one for each iteration.
    batch_norm : bool, default=False
        Whether each hidden layer is normalised by its batch before the activation.
    dropout : float, default=0.0
        Share of the units of each hidden layer dropped while training.
    clip_norm, pool_bytes, class_weight, callbacks, dtype, backend, cache : see `NeuralClassifier`

    Attributes
    ----------
    classes_ : array (K,), the labels, sorted
    coefs_, intercepts_ : lists of arrays (n_in, n_out) and (n_out,)
    n_layers_, n_outputs_ : int
        Layers with input and output; scores of a row.
    out_activation_ : str

    All other attributes are those of `NeuralClassifier`.

    References
    ----------
    .. [1] Rumelhart, D. E., Hinton, G. E. and Williams, R. J. (1986). Learning representations by
       back-propagating errors. Nature 323, 533-536.
    .. [2] Kingma, D. P. and Ba, J. (2015). Adam: a method for stochastic optimization. ICLR.

    Examples
    --------
    >>> import dask.array as da
    >>> from daskdsml.neural_network import MLPClassifier
    >>> X = da.random.default_rng(0).normal(size=(2000, 2), chunks=(500, 2))
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)
    >>> model = MLPClassifier((32,), learning_rate_init=0.01, max_iter=50, tol=None).fit(X, y)
    >>> bool(model.score(X, y) > 0.95)
    True
    >>> model.predict([[1.0, 1.0], [-1.0, 1.0]])
    array([1, 0])
    """

    _label = "mlp-classifier"

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        max_fun=15000,
        batch_norm=False,
        dropout=0.0,
        clip_norm=None,
        class_weight=None,
        pool_bytes=2**28,
        callbacks=None,
        dtype="float32",
        backend="auto",
        cache="auto",
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.power_t = power_t
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.n_iter_no_change = n_iter_no_change
        self.max_fun = max_fun
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.clip_norm = clip_norm
        self.class_weight = class_weight
        self.pool_bytes = pool_bytes
        self.callbacks = callbacks
        self.dtype = dtype
        self.backend = backend
        self.cache = cache

    def _n_scores(self) -> int:
        K = len(getattr(self, "classes_", (0, 1)))
        return K if K > 2 else 1

    def _publish(self, batches=None) -> None:
        super()._publish(batches)
        self.out_activation_ = "logistic" if self.n_outputs_ == 1 else "softmax"
