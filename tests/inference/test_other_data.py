"""infer takes the data of the fit, in any order, and no others, however far columns are from 0."""

import numpy as np
import pytest

from daskdsml.inference import infer
from daskdsml.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

RNG = np.random.default_rng(0)
N = 400
CLOCK, OTHER = RNG.uniform(0.0, 3600.0, N), RNG.normal(size=N)
MEAN = CLOCK / 3600.0 - 0.5 + OTHER / 2.0
KINDS = {
    "linear": (LinearRegression(), MEAN + RNG.normal(size=N)),
    "logistic": (LogisticRegression(C=np.inf), (RNG.random(N) < 1 / (1 + np.exp(-MEAN))) * 1),
    "Poisson": (PoissonRegressor(alpha=0.0), RNG.poisson(np.exp(MEAN))),
    "three classes": (LogisticRegression(C=np.inf), RNG.integers(0, 3, N)),
}


@pytest.mark.parametrize("shift", [0.0, 1.7e9])
@pytest.mark.parametrize("kind", KINDS)
def test_the_data_of_the_fit_and_no_others(kind, shift):
    model, y = KINDS[kind]
    X, order = np.column_stack([CLOCK + shift, OTHER]), RNG.permutation(N)
    model.fit(X, y)
    expected = infer(model, X, y).std_error
    np.testing.assert_allclose(infer(model, X[order], y[order]).std_error, expected, rtol=1e-6)
    some = MEAN > 0.0
    others = [
        (X, y[order]),
        (X[:130], y[:130]),
        (X + [0.0, 1.0], y),
        (X + [1800.0, 0.0], y),
        (X * [1.0, 2.0], y),
        (X, y, np.where(some, 5.0, 0.2)),
    ]
    for data in others:
        with pytest.raises(ValueError, match="on these data|to these data"):
            infer(model, *data)
