"""Fitted networks in files, and as PyTorch's modules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.utils.validation import check_is_fitted

from daskdsml import neural_network
from daskdsml.neural_network import _storage
from daskdsml.neural_network._torch import to_torch
from daskdsml.neural_network._training import Epoch, TrainState
from daskdsml.neural_network.network import Network
from daskdsml.utils import registry

# Numbers of a train_state; its arrays are kept by their own names.
ARRAYS = ("classes_", "feature_names_in_", "_class_weight")
NUMBERS = ("step", "epoch", "drop", "best", "stale")


class Kept:
    """Mixin: `save`, `load` and `to_torch` of a fitted network."""

    history_: list
    _backend: str
    _network: Network
    _train_state: TrainState
    get_params: Callable[..., dict]

    def save(self, path) -> None:
        """Write the fitted model to one .npz file: a JSON header and arrays, without pickle.

        All that `predict`, `partial_fit` and ``warm_start`` need is kept, the state of the solver
        too, so training goes on as if it had not been interrupted. Callbacks are not.

        Parameters
        ----------
        path : str or path-like
            Taken as it is: no suffix is added. The file is there whole or not at all.

        Raises
        ------
        ValueError
            If a parameter cannot be written, such as a schedule that is a function.
        """
        check_is_fitted(self)
        train_state, network = self._train_state, self._network
        header = {
            "estimator": type(self).__name__,
            "params": self.get_params(deep=False) | {"callbacks": None},
            # Parameters may have been set since the fit: what was fitted stands for itself.
            "layers": list(network.layers),
            "in_shape": list(network.in_shape),
            "loss": network.loss,
            "dtype": network.dtype.name,
            "backend": self._backend,
            "solver": _solver_name(train_state.state),
            "standing": {name: getattr(train_state, name) for name in NUMBERS},
            "history": [list(record) for record in self.history_],
            "facts": {name: getattr(self, name) for name in self._facts if hasattr(self, name)},
        }
        arrays = {f"state.{name}": part for name, part in train_state.state._asdict().items()}
        arrays["statistics"] = train_state.statistics
        for name in ARRAYS:
            if getattr(self, name, None) is not None:
                arrays[name] = getattr(self, name)
        _storage.save(path, header, arrays)

    # What a fit learns that is neither an array nor among the parameters.
    _facts = ("n_features_in_", "_target_shape", "converged_", "n_rows_read_")

    @classmethod
    def load(cls, path):
        """Read a model that `save` wrote; it is of the class it was saved from.

        Raises
        ------
        ValueError
            If the file is none of ours, or holds another kind of model than this class.
        """
        header, arrays = _storage.load(path)
        kind = getattr(neural_network, header["estimator"], None)
        if kind is None or not issubclass(kind, cls):
            raise ValueError(
                f"{path} holds a {header['estimator']}, not a {cls.__name__}. Use "
                f"{header['estimator']}.load."
            )
        model = kind(**header["params"])
        for name in ARRAYS:
            if name in arrays:
                setattr(model, name, arrays[name])
        for name, value in header["facts"].items():
            setattr(model, name, value)
        shape, loss, dtype = header["in_shape"], header["loss"], header["dtype"]
        model._network = Network(header["layers"], shape, loss, dtype)
        model._backend = header["backend"]
        model._train_state = _train_state(header["solver"], header["standing"], arrays)
        model.history_ = [Epoch(*record) for record in header["history"]]
        model._publish()
        return model

    def to_torch(self):
        """The equivalent ``torch.nn.Module``: raw scores of rows, in eval mode, in this dtype.

        The weights are copied. Masks are not taken, and running variances follow batches with
        N - 1 for N when it is trained on.

        Raises
        ------
        ImportError
            If PyTorch is not installed: ``pip install "daskdsml[torch]"``.
        """
        check_is_fitted(self)
        return to_torch(self._network, self._train_state.point)


def _solver_name(state) -> str:
    """The name of the solver that a state is of."""
    family, _, name = type(state).__module__.rpartition(".")
    if family != "daskdsml.optimizers":
        raise ValueError(
            f"Cannot save the state of a solver of {type(state).__module__}: expected one of "
            "daskdsml.optimizers. Fit with one of these before saving."
        )
    return name


def _train_state(solver, numbers, arrays) -> TrainState:
    state = {name[6:]: part for name, part in arrays.items() if name.startswith("state.")}
    kind = type(registry.find("optimizers", solver)().init(np.zeros(0)))
    state = kind(**{name: part if part.ndim else part.item() for name, part in state.items()})
    return TrainState(state, arrays["statistics"], **numbers)
