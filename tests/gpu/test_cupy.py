"""The checks of every backend, on an NVIDIA card."""

import checks
import pytest

from daskdsml import registry

pytestmark = pytest.mark.gpu


@pytest.fixture
def backend():
    backend = registry.find("backends", "cupy")()
    if reasons := backend.refuse():
        pytest.skip("; ".join(reasons))
    return backend


@pytest.mark.parametrize(
    "check",
    [
        checks.check_gradient,
        checks.check_models,
        checks.check_models_are_each_by_itself,
        checks.check_models_left_out,
        checks.check_moments,
        checks.check_column_sums,
        checks.check_results_are_host_float64,
        checks.check_round_trip,
        checks.check_input_is_left_alone,
    ],
    ids=lambda check: check.__name__,
)
def test_check(backend, check):
    check(backend)
