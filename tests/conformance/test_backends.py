"""Every backend that can run here against plain NumPy; array-api-strict stands in for a card."""

import checks
import numpy as np
import pytest

from daskdsml.backends._array_api import ArrayBackend
from daskdsml.contracts import Backend
from daskdsml.utils import registry


class Strict(ArrayBackend):
    """A made-up device, whose arrays take no function but those of the array API standard."""

    tile_rows = 64

    @property
    def xp(self):
        return pytest.importorskip("array_api_strict")

    def put(self, array):
        return self.xp.asarray(array, device=self.xp.Device("device1"))

    def get(self, array):
        return np.asarray(array.to_device(self.xp.Device("CPU_DEVICE")))


def usable():
    found = [registry.find("backends", name)() for name in registry.available("backends")]
    return [backend for backend in found if not backend.refuse()]


def names(backend):
    return type(backend).__name__


EVERYWHERE = pytest.mark.parametrize("backend", [*usable(), Strict()], ids=names)
WITH_CSR = [backend for backend in usable() if checks.backend_takes_csr(backend)]
ON_CSR = pytest.mark.parametrize("backend", WITH_CSR, ids=names)
EVERY_LOSS = pytest.mark.parametrize("loss", checks.LOSSES, ids=lambda loss: loss.__name__)


def test_numpy_and_numba_run_here():
    assert {"NumPy", "Numba"} <= {names(backend) for backend in WITH_CSR}


@pytest.mark.parametrize("name", registry.available("backends"))
def test_speaks_the_contract(name):
    backend = registry.find("backends", name)()
    assert isinstance(backend, Backend)
    assert all(isinstance(reason, str) for reason in backend.refuse())


@EVERYWHERE
@EVERY_LOSS
def test_gradient(backend, loss):
    checks.check_gradient(backend, loss)


@EVERYWHERE
def test_models(backend):
    checks.check_models(backend)


@EVERYWHERE
def test_models_are_each_by_itself(backend):
    checks.check_models_are_each_by_itself(backend)


@EVERYWHERE
def test_models_left_out(backend):
    checks.check_models_left_out(backend)


@EVERYWHERE
def test_moments(backend):
    checks.check_moments(backend)


@EVERYWHERE
def test_column_sums(backend):
    checks.check_column_sums(backend)


@ON_CSR
@EVERY_LOSS
def test_gradient_of_csr(backend, loss):
    checks.check_gradient(backend, loss, csr=True)


@ON_CSR
def test_models_of_csr(backend):
    checks.check_models(backend, csr=True)


@ON_CSR
def test_models_of_csr_are_each_by_itself(backend):
    checks.check_models_are_each_by_itself(backend, csr=True)


@ON_CSR
def test_models_of_csr_left_out(backend):
    checks.check_models_left_out(backend, csr=True)


@ON_CSR
def test_moments_of_csr(backend):
    checks.check_moments(backend, csr=True)


@ON_CSR
def test_column_sums_of_csr(backend):
    checks.check_column_sums(backend, csr=True)


@EVERYWHERE
def test_results_are_host_float64(backend):
    checks.check_results_are_host_float64(backend)


@EVERYWHERE
def test_round_trip(backend):
    checks.check_round_trip(backend)


@EVERYWHERE
def test_input_is_left_alone(backend):
    checks.check_input_is_left_alone(backend)


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("backend", WITH_CSR, ids=names)
def test_same_bits_twice(backend, csr):
    block = checks.block_of((2500, 7), np.float64, True, csr)
    loss = registry.find("losses", "logistic")()
    once, again = (backend.gradient(loss, block, np.ones(7), 0.5, True) for _ in range(2))
    assert once.value == again.value
    assert once.gradient.tobytes() == again.gradient.tobytes()
    assert once.hessian.tobytes() == again.hessian.tobytes()


def test_strict_stand_in_refuses_numpy():
    with pytest.raises(RuntimeError, match="device1"):
        np.exp(Strict().put(np.ones(2)))
