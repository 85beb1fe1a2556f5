"""Every strategy: the answer of a single block however rows are cut, and the same bits twice."""

import numpy as np
import pytest
from tables import classes, dask_rows

from daskdsml.backends.numpy import NumPy
from daskdsml.data.dataset import Dataset
from daskdsml.engine.full import rows as engine_rows
from daskdsml.engine.full import shards as engine_shards
from daskdsml.engine.full.by_columns import ByColumns
from daskdsml.engine.full.rows import open_rows
from daskdsml.linear_model import SGDClassifier
from daskdsml.losses.logistic import Logistic
from daskdsml.losses.penalties.l1_l2 import L1L2
from daskdsml.losses.penalties.l2 import L2
from daskdsml.losses.squared_error import SquaredError
from daskdsml.passes.objective import Problem
from daskdsml.utils import registry

EVERY = pytest.mark.parametrize("name", registry.available("strategies"))
# Every strategy with every iterative solver that it can serve.
PAIRS = [
    (name, solver)
    for name in registry.available("strategies")
    for solver in ("lbfgs", "newton", "proximal_newton", "working_set")
    if registry.find_solver(solver).needs <= registry.find("strategies", name)().provides
]
EPOCHS = [
    name
    for name in registry.available("strategies")
    if "epochs" in registry.find("strategies", name)().provides
]


def fitted(strategy_name, solver_name, n_blocks, monkeypatch):
    X, y, _ = classes(600, 4)
    monkeypatch.setattr(engine_rows, "LOCAL_BLOCK", X.nbytes // n_blocks)
    monkeypatch.setattr(engine_rows, "LOCAL_ROWS", 8)
    monkeypatch.setattr(engine_shards, "SMALLEST", X.nbytes // n_blocks)
    strategy = registry.find("strategies", strategy_name)()
    solver = registry.find_solver(solver_name)(tol=1e-11)
    lasso = solver_name == "working_set"
    sparse = lasso or solver_name == "proximal_newton"
    loss = SquaredError() if lasso else Logistic()
    penalty = L1L2(0.01) if sparse else L2(0.01)
    scales = X.mean(axis=0), X.std(axis=0)
    problem = Problem(loss, penalty, NumPy(), 4, True, 600, 600.0, *scales)
    table = Dataset(X, y.astype(float))
    by_columns = strategy_name == "columns"
    rows = (
        ByColumns(table, "memory", None, square=False) if by_columns else open_rows(table, "memory")
    )
    return strategy.minimize(problem, rows, solver, np.zeros(5), max_iter=200)


@pytest.mark.parametrize("name, solver", PAIRS)
def test_equals_a_single_block(name, solver, monkeypatch):
    one = fitted(name, solver, 1, monkeypatch)
    for n_blocks in (3, 50):
        many = fitted(name, solver, n_blocks, monkeypatch)
        assert many.status == one.status == "converged"
        np.testing.assert_allclose(many.theta, one.theta, rtol=1e-10)


@pytest.mark.parametrize("name, solver", PAIRS)
def test_same_bits_twice(name, solver, monkeypatch):
    once, again = (fitted(name, solver, 7, monkeypatch).theta for _ in range(2))
    assert once.tobytes() == again.tobytes()


@pytest.mark.parametrize("name", EPOCHS)
def test_epochs_of_one_shard_are_those_of_a_chain(name):
    X, y, _ = classes(300, 4)
    options = {"loss": "log_loss", "max_iter": 3, "tol": None}
    mine, chain = (SGDClassifier(strategy=s, **options).fit(X, y) for s in (name, "all_reduce"))
    assert mine.coef_.tobytes() == chain.coef_.tobytes()


@pytest.mark.parametrize("name", EPOCHS)
def test_epochs_have_the_same_bits_twice(name, monkeypatch):
    X, y, _ = classes(300, 4)
    monkeypatch.setattr(engine_shards, "SMALLEST", 1)
    rows = dask_rows(X, 7), dask_rows(y, 7)
    options = {"loss": "log_loss", "max_iter": 3, "tol": None, "strategy": name}
    once, again = (SGDClassifier(**options).fit(*rows) for _ in range(2))
    assert once.coef_.tobytes() == again.coef_.tobytes()


@EVERY
def test_a_solver_it_cannot_serve_is_explained(name):
    class Psychic:
        needs = frozenset({"clairvoyance"})

    strategy = registry.find("strategies", name)()
    with pytest.raises(ValueError, match=r"'Psychic' needs \['clairvoyance'\].*Use \w+"):
        registry.check_needs(Psychic(), strategy)


@EVERY
def test_provides_what_some_solver_needs(name):
    strategy = registry.find("strategies", name)()
    names = [*registry.available("solvers"), *registry.available("solvers.paths")]
    needs = [registry.find_solver(solver).needs for solver in names]
    assert any(each <= strategy.provides for each in [*needs, {"batches"}])


def test_an_unknown_part_is_answered_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"Unknown strategy 'best': expected one of \['admm', 'all_redu"
    ):
        registry.find("strategies", "best")


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_every_file_of_a_family_holds_one_part(family):
    parts = [registry.find(family, name) for name in registry.available(family)]
    assert parts
    assert len(set(parts)) == len(parts)
