"""Classification of sequences by a recurrent network."""

from __future__ import annotations

from typing import Any

from daskdsml.data.labels import check_class_weight
from daskdsml.layers.bidirectional import Bidirectional
from daskdsml.layers.dropout import Dropout
from daskdsml.layers.gru import GRU
from daskdsml.layers.lstm import LSTM
from daskdsml.layers.rnn import RNN
from daskdsml.neural_network._validation import check_activation, check_sizes, check_solver_options
from daskdsml.neural_network.neural_classifier import NeuralClassifier, dense_layers
from daskdsml.utils.validation import check_flag, check_number, set_parameters

CELLS = {"gru": GRU, "lstm": LSTM, "elman": RNN}


class RNNClassifier(NeuralClassifier):
    """Classification of sequences by recurrent layers, from the state after the last step.

    Parameters
    ----------
    cell : {"gru", "lstm", "elman"}, default="gru"
    units : int, default=64
        Units of each recurrent layer.
    n_layers : int, default=1
        Recurrent layers.
    bidirectional : bool, default=False
        Whether each layer also runs backward in time.
    hidden_layer_sizes : tuple of int, default=()
        Units of dense layers between the last state and the scores.
    activation : {"relu", "tanh", "logistic", "identity"}, default="relu"
        Of these dense layers.
    dropout : float, default=0.0
        Share of inputs dropped between layers while training.

    All other parameters and attributes are those of `NeuralClassifier`.

    References
    ----------
    Cho, K. et al. (2014). Learning phrase representations using RNN encoder-decoder for statistical
    machine translation. EMNLP, 1724-1734.

    Examples
    --------
    Does a sequence end higher than it began?

    >>> import dask.array as da
    >>> from daskdsml.neural_network import RNNClassifier
    >>> X = da.random.default_rng(0).normal(size=(500, 6, 1), chunks=(250, 6, 1))
    >>> y = (X[:, -1, 0] > X[:, 0, 0]).astype(int)
    >>> model = RNNClassifier(units=8, learning_rate_init=0.02, batch_size=32, max_iter=30)
    >>> bool(model.fit(X, y).score(X, y) > 0.9)
    True
    """

    _label = "rnn-classifier"
    _ranks = (2, 3)

    def __init__(
        self,
        cell="gru",
        *,
        units=64,
        n_layers=1,
        bidirectional=False,
        hidden_layer_sizes=(),
        activation="relu",
        dropout=0.0,
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
        if self.cell not in list(CELLS):
            raise ValueError(f"Unknown cell {self.cell!r}: expected one of {list(CELLS)}.")
        check_number(self, "units", 1, integer=True)
        check_number(self, "n_layers", 1, integer=True)
        check_flag(self, "bidirectional")
        check_sizes(self, "hidden_layer_sizes")
        check_activation(self)
        check_class_weight(self.class_weight)
        check_solver_options(self)

    def _layers(self, n_outputs):
        layers: list[Any] = []
        for i in range(self.n_layers):
            recurrent = CELLS[self.cell](self.units, return_sequences=i < self.n_layers - 1)
            if i and self.dropout:
                layers.append(Dropout(self.dropout))
            layers.append(Bidirectional(recurrent) if self.bidirectional else recurrent)
        return [*layers, *dense_layers(self, n_outputs)]
