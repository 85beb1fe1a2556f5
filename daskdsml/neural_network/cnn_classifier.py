"""Classification of images by a convolutional network."""

from __future__ import annotations

from typing import Any

from daskdsml.data.labels import check_class_weight
from daskdsml.layers.batch_norm import BatchNorm
from daskdsml.layers.conv2d import Conv2D
from daskdsml.layers.flatten import Flatten
from daskdsml.layers.max_pool2d import MaxPool2D
from daskdsml.neural_network._validation import check_activation, check_sizes, check_solver_options
from daskdsml.neural_network.neural_classifier import NeuralClassifier, dense_layers
from daskdsml.utils.validation import check_flag, check_number, set_parameters


class CNNClassifier(NeuralClassifier):
    """Classification of images by convolutions, pooling and dense layers.

    Each of ``filters`` makes a convolution of that many filters (padded to keep the size), batch
    norm if asked for, the activation, and max pooling; dense layers follow.

    Parameters
    ----------
    filters : tuple of int, default=(16, 32)
        Filters of each convolution.
    kernel_size : int, default=3
        Height and width of the filters.
    pool_size : int, default=2
        Height and width of what is pooled; 1 leaves pooling out.
    hidden_layer_sizes : tuple of int, default=()
        Units of dense layers before the last.
    activation : {"relu", "tanh", "logistic", "identity"}, default="relu"
    batch_norm : bool, default=False
        Whether each convolution is normalised by its batch before the activation.
    dropout : float, default=0.0
        Share of inputs dropped before each dense layer while training.
    data_format : {"channels_first", "channels_last"} or None, default=None
        Of X: images (C, H, W), or (H, W, C); see `Conv2D`.

    All other parameters and attributes are those of `NeuralClassifier`.

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to
    document recognition. Proceedings of the IEEE 86(11), 2278-2324.

    Examples
    --------
    Is the left or the right half of an image brighter?

    >>> import dask.array as da
    >>> from daskdsml.neural_network import CNNClassifier
    >>> X = da.random.default_rng(0).normal(size=(500, 6, 6), chunks=(250, 6, 6))
    >>> y = (X[:, :, :3].sum((1, 2)) > X[:, :, 3:].sum((1, 2))).astype(int)
    >>> model = CNNClassifier((4,), learning_rate_init=0.01, batch_size=32, max_iter=20).fit(X, y)
    >>> bool(model.score(X, y) > 0.9)
    True
    """

    _label = "cnn-classifier"
    _ranks = (3, 4)

    def __init__(
        self,
        filters=(16, 32),
        *,
        kernel_size=3,
        pool_size=2,
        hidden_layer_sizes=(),
        activation="relu",
        batch_norm=False,
        dropout=0.0,
        data_format=None,
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
        strategy="auto",
        verbose=False,
        checkpoint=None,
    ):
        set_parameters(self, locals())

    def _check(self) -> None:
        check_sizes(self, "filters", least=1)
        check_sizes(self, "hidden_layer_sizes")
        check_number(self, "kernel_size", 1, integer=True)
        check_number(self, "pool_size", 1, integer=True)
        check_flag(self, "batch_norm")
        check_activation(self)
        check_class_weight(self.class_weight)
        check_solver_options(self)

    def _layers(self, n_outputs):
        layers: list[Any] = []
        activation = None if self.batch_norm else self.activation
        same: dict[str, Any] = {"padding": "same", "activation": activation}
        for filters in self.filters:
            layers.append(Conv2D(filters, self.kernel_size, data_format=self.data_format, **same))
            if self.batch_norm:
                layers.append(BatchNorm(activation=self.activation))
            if self.pool_size > 1:
                layers.append(MaxPool2D(self.pool_size))
        return [*layers, Flatten(), *dense_layers(self, n_outputs)]
