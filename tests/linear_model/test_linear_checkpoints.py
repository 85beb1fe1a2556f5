"""Linear fits that are killed go on from their checkpoint, and end in the same bits."""

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import dask.array as da
import numpy as np
import pytest
from kills import Killed, assert_same_fit, ctrl_c, dies_after, resumed_until_done
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold
from tables import classes, counts, regression

from daskdsml import Checkpoint
from daskdsml.engine.full import shards
from daskdsml.linear_model import (
    ElasticNet,
    HuberRegressor,
    Lasso,
    LassoCV,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    PoissonRegressor,
    Ridge,
    SGDClassifier,
    SGDRegressor,
    _iterative,
)
from daskdsml.passes.loop import iterate
from daskdsml.passes.progress import Progress
from daskdsml.strategies import ADMM, Averaging
from daskdsml.utils.checkpoint import CheckpointFiles

N, P, CHUNK = 2000, 6, 250
FEW = {"max_iter": 4, "tol": None}
STOPS = {"max_iter": 12, "tol": 1e-3, "n_iter_no_change": 1, "early_stopping": True}
MODELS = {
    "newton": (LogisticRegression, {"solver": "newton"}, classes),
    "admm": (LogisticRegression, {"strategy": ADMM(3)}, classes),
    "lbfgs": (LogisticRegression, {"solver": "lbfgs"}, classes),
    "auto": (LogisticRegression, {"C": np.inf}, classes),
    "l1": (LogisticRegression, {"l1_ratio": 1.0, "C": 0.1}, classes),
    "poisson": (PoissonRegressor, {"tol": 1e-8}, counts),
    "huber": (HuberRegressor, {}, regression),
    "qr": (LinearRegression, {"solver": "qr"}, regression),
    "ridge lbfgs": (Ridge, {"solver": "lbfgs"}, regression),
    "lasso": (Lasso, {"alpha": 0.01}, regression),
    "working set": (ElasticNet, {"alpha": 0.01, "solver": "working_set"}, regression),
    "lasso cv": (LassoCV, {"alphas": 5, "cv": 3}, regression),
    "logistic cv": (LogisticRegressionCV, {"Cs": 3, "cv": 3, "scoring": "accuracy"}, classes),
    "sgd": (SGDClassifier, {**FEW, "average": True, "penalty": "l1"}, classes),
    "sgd averaged": (SGDClassifier, {**FEW, "strategy": Averaging(3, np.inf)}, classes),
    "full": (SGDRegressor, {**FEW, "batch_size": "full", "eta0": 1e-4}, regression),
    "adaptive": (SGDClassifier, {**STOPS, "learning_rate": "adaptive", "eta0": 1e-5}, classes),
}  # fmt: skip


def rows_of(make, lazy=True):
    X, y, w = make(N, P)
    return tuple(da.from_array(a, chunks=(CHUNK, *a.shape[1:])) if lazy else a for a in (X, y, w))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """A shard for each chunk."""
    monkeypatch.setattr(shards, "SMALLEST", 1)


CASES = [(name, True) for name in MODELS] + [("newton", False), ("lasso", False), ("sgd", False)]


@pytest.mark.parametrize("name, lazy", CASES)
def test_killed_fits_end_in_the_same_bits(name, lazy, tmp_path, monkeypatch):
    kind, settings, make = MODELS[name]
    X, y, w = rows_of(make, lazy)
    whole = kind(**settings).fit(X, y, sample_weight=w)
    model, deaths = resumed_until_done(
        lambda **own: kind(**settings, **own),
        lambda model: model.fit(X, y, sample_weight=w),
        tmp_path / "fit",
        monkeypatch,
    )
    assert deaths >= len(whole.history_)
    assert_same_fit(model, whole)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "kind, settings",
    [
        (LogisticRegression, {"l1_ratio": 1.0, "C": 0.5}),
        (ElasticNet, {"alpha": 0.05, "solver": "working_set"}),
    ],
)
def test_killed_fits_by_columns_end_in_the_same_bits(kind, settings, tmp_path, monkeypatch):
    X, y, _ = classes(60, 120)
    X, y = da.from_array(X, chunks=(60, 10)), da.from_array(y, chunks=60)
    whole = kind(**settings).fit(X, y)
    model, deaths = resumed_until_done(
        lambda **own: kind(**settings, **own),
        lambda model: model.fit(X, y),
        tmp_path / "fit",
        monkeypatch,
    )
    assert deaths >= len(whole.history_)
    assert_same_fit(model, whole)


@pytest.mark.parametrize("name, cache", [("newton", "none"), ("qr", "memory"), ("sgd", "memory")])
def test_killed_fits_on_a_cluster_end_in_the_same_bits(name, cache, client, tmp_path, monkeypatch):
    kind, settings, make = MODELS[name]
    X, y, _ = rows_of(make)
    X, y = (da.map_blocks(np.copy, a, dtype=a.dtype) for a in (X, y))
    whole = kind(cache=cache, **settings).fit(X, y)
    model, deaths = resumed_until_done(
        lambda **own: kind(cache=cache, **settings, **own),
        lambda model: model.fit(X, y),
        tmp_path / "fit",
        monkeypatch,
        n_writes=1 if name == "newton" else 4,
    )
    assert deaths >= 2 or name == "qr"
    assert_same_fit(model, whole)


def slow_chunk(block_info=None):
    time.sleep(0.02)
    X = np.random.default_rng(block_info[None]["chunk-location"][0]).normal(size=(500, 4))
    X[:, -1] = X[:, 0] + X[:, -1] > 0
    return X


def slow_fit(path=None):
    """What a fit of a second or so prints."""
    rows = da.map_blocks(slow_chunk, chunks=((500,) * 20, (4,)), meta=np.empty((0, 0)))
    kept = path and Checkpoint(path, seconds=0.05)
    model = LogisticRegression(tol=1e-8, cache="none", n_jobs=1, checkpoint=kept)
    print("begin", flush=True)
    model.fit(rows[:, :-1], rows[:, -1])
    print(model.coef_.tobytes().hex(), model.intercept_, model.n_iter_, model.n_passes_)


@pytest.mark.slow
def test_processes_that_are_killed_end_in_the_same_bits(tmp_path, monkeypatch, capsys):
    def begun():
        code = f"import test_linear_checkpoints as t; t.slow_fit({str(tmp_path / 'fit')!r})"
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert process.stdout.readline() == "begin\n"
        return process

    monkeypatch.undo()  # the other processes have shards of the usual sizes
    slow_fit()
    for seconds in (0.7, 0.9):
        with begun() as process:
            time.sleep(seconds)
            process.kill()
    with begun() as last:
        assert f"begin\n{last.stdout.read()}" == capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_shards_that_were_summed_are_not_read_again(tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)
    reads = []

    def read(block, block_id=None):
        reads.append(block_id)
        return block

    X = X.map_blocks(read, dtype=X.dtype, meta=np.empty((0, 0)))
    reads.clear()
    whole = LogisticRegression(cache="none", n_jobs=1).fit(X, y)
    plain = len(reads)
    reads.clear()
    _, deaths = resumed_until_done(
        lambda **own: LogisticRegression(cache="none", n_jobs=1, **own),
        lambda model: model.fit(X, y),
        tmp_path / "fit",
        monkeypatch,
        n_writes=3,
    )
    assert deaths >= whole.n_passes_
    assert plain == whole.n_passes_ * X.numblocks[0]
    # A death costs the first chunk, read to know the data by, and one that was read ahead.
    assert len(reads) <= plain + 2 * deaths + 1


def test_other_threads_and_more_iterations_are_no_other_model(tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)
    whole = LogisticRegression(solver="lbfgs").fit(X, y)
    first = LogisticRegression(
        solver="lbfgs", max_iter=5, n_jobs=1, checkpoint=Checkpoint(tmp_path / "fit", passes=1)
    )
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dies_after(patch, 3)
        first.fit(X, y)
    model = LogisticRegression(
        solver="lbfgs", n_jobs=2, cache="none", checkpoint=str(tmp_path / "fit")
    )
    assert_same_fit(model.fit(X, y), whole)


def killed(path, monkeypatch, X, y, n_writes=2, **settings):
    """A checkpoint of a fit that was killed."""
    model = LogisticRegression(checkpoint=Checkpoint(path, passes=1), **settings)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dies_after(patch, n_writes)
        model.fit(X, y)


@pytest.mark.parametrize("lazy", [True, False], ids=["Dask", "NumPy"])
def test_checkpoints_of_others_are_refused(lazy, tmp_path, monkeypatch):
    (X, y, w), path = rows_of(classes, lazy), tmp_path / "fit"
    killed(path, monkeypatch, X, y)
    before = path.read_bytes()
    mine = {"checkpoint": str(path)}
    for model, data, told in [
        (LogisticRegression(C=0.5, **mine), (X, y), "another model: C was 1.0, now it is 0.5"),
        (LinearRegression(**mine), (X, y), "class was LogisticRegression, now it is Linear"),
        (LogisticRegression(**mine), (X[: N // 2], y[: N // 2]), r"other data: table was X \(2000"),
        (LogisticRegression(**mine), (X, y, w), "other data: table was"),
        (LogisticRegression(**mine), (X, 1 - y), "other data: y has other numbers"),
        (LogisticRegression(**mine), (X * 2.0, y), "other data: X has other numbers"),
    ]:
        with pytest.raises(ValueError, match=told):
            model.fit(*data)
    assert path.read_bytes() == before
    if lazy:
        with pytest.raises(ValueError, match="row chunks was"):
            LogisticRegression(**mine).fit(X.rechunk((500, P)), y.rechunk(500))
        changed = da.concatenate([X[:-1], X[-1:] + 1.0]).rechunk((CHUNK, P))
        with pytest.raises(ValueError, match="X has other numbers in chunk 7"):
            LogisticRegression(**mine).fit(da.map_blocks(np.copy, changed), y)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"", lambda b: b[:99] + b[100:]])
@pytest.mark.parametrize("which", ["fit", "fit.other"])
def test_damaged_files_fall_back_to_the_one_before(which, damage, tmp_path, monkeypatch):
    (X, y, _), path = rows_of(classes), tmp_path / "fit"
    whole = LogisticRegression().fit(X, y)
    killed(path, monkeypatch, X, y, 3)
    file = tmp_path / which
    file.write_bytes(damage(file.read_bytes()))
    with pytest.warns(RuntimeWarning, match=f"{which}' is damaged.* before it is used"):
        model = LogisticRegression(checkpoint=str(path)).fit(X, y)
    assert_same_fit(model, whole)


def test_a_file_that_is_damaged_and_alone_is_told_of(tmp_path):
    X, y, _ = rows_of(classes)
    (tmp_path / "fit").write_bytes(b"daskdsml check")
    with pytest.warns(RuntimeWarning, match="is damaged.* The fit begins anew"):
        LogisticRegression(checkpoint=str(tmp_path / "fit")).fit(X, y)


@pytest.mark.parametrize(
    "given, error, told",
    [
        (3, TypeError, "checkpoint=3 names no file. Pass the path"),
        ("", TypeError, "checkpoint='' names no file"),
        (".", ValueError, "Cannot write checkpoint '.': it is a directory"),
        ("missing/fit", ValueError, "Cannot write checkpoint .* Its directory has to exist"),
        ("nothing://fit", ValueError, "Cannot write checkpoint 'nothing://fit': .*nothing"),
        (Checkpoint("fit", seconds=-1), ValueError, "seconds of Checkpoint must be a number"),
        (Checkpoint("fit", passes=0), ValueError, "passes of Checkpoint must be an integer"),
    ],
)
def test_what_is_no_checkpoint_is_told_before_the_first_pass(
    given, error, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    X = da.map_blocks(fails, chunks=((4,), (2,)), meta=np.empty((0, 0)))
    with pytest.raises(error, match=told):
        LogisticRegression(checkpoint=given).fit(X, np.zeros(4))
    assert not list(tmp_path.iterdir())


def fails():
    raise AssertionError("a pass was made")


def test_a_disk_that_is_full_does_not_end_a_fit(tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)

    def full(self, path, parts):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckpointFiles, "_write", full)
    with pytest.warns(RuntimeWarning, match="could not be written: OSError.*The fit goes on"):
        model = LogisticRegression(checkpoint=Checkpoint(tmp_path / "fit", passes=1)).fit(X, y)
    assert_same_fit(model, LogisticRegression().fit(X, y))


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    X, y, _ = rows_of(classes)
    (tmp_path / "fit.part").write_bytes(b"daskdsml")
    LogisticRegression(checkpoint=str(tmp_path / "fit")).fit(X, y)
    assert not list(tmp_path.iterdir())


def test_files_of_others_are_not_written_over(tmp_path):
    X, y, _ = rows_of(classes)
    (tmp_path / "data.csv").write_text("1,2")
    with pytest.raises(ValueError, match="is no checkpoint, and is not written over"):
        LogisticRegression(checkpoint=tmp_path / "data.csv").fit(X, y)
    assert (tmp_path / "data.csv").read_text() == "1,2"


def test_urls(monkeypatch):
    X, y, _ = rows_of(classes)
    whole = LogisticRegression().fit(X, y)
    killed("memory://fits/mine", monkeypatch, X, y, 3)
    model = LogisticRegression(checkpoint="memory://fits/mine")
    assert_same_fit(model.fit(X, y), whole)


def test_a_fit_that_is_over_leaves_nothing_to_go_on_from(tmp_path):
    X, y, _ = rows_of(classes)
    model = LogisticRegression(checkpoint=Checkpoint(tmp_path / "fit", seconds=0))
    for C in (1.0, 0.1):  # neither stale nor refused
        assert_same_fit(model.set_params(C=C).fit(X, y), LogisticRegression(C=C).fit(X, y))


def interrupts(monkeypatch, n_blocks):
    """Have Ctrl-C come while a pass reads that block."""
    seen, evaluate = [], shards.as_block

    def as_block(chunk, id=(0, 0)):
        seen.append(id)
        if len(seen) == n_blocks:
            raise KeyboardInterrupt
        return evaluate(chunk, id)

    monkeypatch.setattr(shards, "as_block", as_block)


@pytest.mark.parametrize("by_newton_after", [False, True])
def test_an_interrupted_fit_is_usable_and_goes_on(by_newton_after, tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)
    settings = {"solver": "lbfgs", "cache": "none", "n_jobs": 1, "tol": 1e-7}
    if by_newton_after:
        monkeypatch.setattr(_iterative, "CHEAP_HESSIAN", 0)
        monkeypatch.setattr(_iterative, "SMALL_HESSIAN", 0)
        settings["solver"] = "auto"
    whole = LogisticRegression(**settings).fit(X, y)
    assert whole.solver_ == "lbfgs"
    model = LogisticRegression(**settings, checkpoint=str(tmp_path / "fit"))
    with monkeypatch.context() as patch:
        interrupts(patch, 3 * X.numblocks[0] + 2)
        with pytest.warns(ConvergenceWarning, match="was interrupted after .* The same call goes"):
            model.fit(X, y)
    assert not model.converged_ and 1 <= len(model.history_) < len(whole.history_)
    assert model.score(X, y) > 0.5
    assert_same_fit(model.fit(X, y), whole)


class Interrupted(NamedTuple):
    """A solver in whose second step Ctrl-C comes; its own state."""

    theta: np.ndarray = np.zeros(1)
    gradient_norm: float = np.inf
    status: str | None = None
    name: str = "gradient"
    value: float = 1.0
    step: float = 1.0
    null_space: None = None

    def init(self, theta):
        return self


def second_step(state, objective):
    if state.gradient_norm < np.inf:
        raise KeyboardInterrupt
    return state._replace(gradient_norm=1.0)


def test_an_interrupt_ends_the_loop_of_a_fit_and_no_other():
    progress = Progress("fit", verbose=False)
    solver = SimpleNamespace(init=Interrupted().init, step=second_step)
    arguments = solver, SimpleNamespace(stateless=True), np.zeros(1), 10, progress
    with pytest.raises(KeyboardInterrupt):  # as in a fit to a sample
        iterate(*arguments)
    progress.ends_early = True
    assert iterate(*arguments).status == "interrupted" and progress.interrupted


def test_without_parameters_an_interrupt_is_one(tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)
    model = LogisticRegression(cache="none", n_jobs=1)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupts(patch, 2)
        model.fit(X, y)
    with monkeypatch.context() as patch:
        interrupts(patch, 3 * X.numblocks[0] + 2)
        with pytest.warns(ConvergenceWarning, match="A checkpoint would let"):
            model.fit(X, y)


def test_descent_with_other_rows_for_validation(tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)
    settings = {**STOPS, "tol": None, "max_iter": 3}
    rows = {"X_val": X[: 2 * CHUNK], "y_val": y[: 2 * CHUNK]}
    whole = SGDClassifier(**settings).fit(X, y, **rows)
    model, _ = resumed_until_done(
        lambda **own: SGDClassifier(**settings, **own),
        lambda model: model.fit(X, y, **rows),
        tmp_path / "fit",
        monkeypatch,
    )
    assert_same_fit(model, whole)


def test_interrupted_descent_is_usable_and_goes_on(tmp_path, monkeypatch):
    X, y, _ = rows_of(classes)
    settings = {"max_iter": 4, "tol": None, "n_jobs": 1, "cache": "none"}
    whole = SGDClassifier(**settings).fit(X, y)
    model = SGDClassifier(**settings, checkpoint=str(tmp_path / "fit"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupts(patch, X.numblocks[0] + 2)
        model.fit(X, y)
    with monkeypatch.context() as patch:
        interrupts(patch, 3 * X.numblocks[0])
        with pytest.warns(ConvergenceWarning, match="was interrupted after 2 epochs. The"):
            model.fit(X, y)
    assert (model.n_iter_, model.converged_) == (2, False) and model.score(X, y) > 0.5
    assert_same_fit(model.fit(X, y), whole)
    with pytest.raises(ValueError, match="checkpoint has no effect on partial_fit"):
        model.partial_fit(X, y, classes=[0, 1])


def test_other_folds_are_refused(tmp_path, monkeypatch):
    (X, y, _), path = rows_of(classes), tmp_path / "fit"
    folds = [StratifiedKFold(3, shuffle=True, random_state=seed) for seed in (0, 1)]
    model = LogisticRegressionCV(Cs=2, cv=folds[0], checkpoint=Checkpoint(path, passes=1))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dies_after(patch, 2)
        model.fit(X, y.compute())
    with pytest.raises(ValueError, match="another model: cv was StratifiedKFold"):
        model.set_params(cv=folds[1]).fit(X, y.compute())
    monkeypatch.setattr(StratifiedKFold, "__repr__", lambda self: "splits")
    path.unlink()
    (tmp_path / "fit.other").unlink()
    model = LogisticRegressionCV(Cs=2, cv=folds[0], checkpoint=Checkpoint(path, passes=1))
    with monkeypatch.context() as patch, pytest.raises(Killed):
        dies_after(patch, 2)
        model.fit(X, y.compute())
    with pytest.raises(ValueError, match="other data: folds was array"):
        model.set_params(cv=folds[1]).fit(X, y.compute())


def test_threads_stop_where_a_fit_is_interrupted():
    reads = []

    def slowly(block):
        reads.append(len(block))
        time.sleep(0.05)
        return block + np.arange(4.0)

    X = da.zeros((400, 4), chunks=(1, 4)).map_blocks(slowly, dtype=float)
    y = da.arange(400, chunks=1) % 2
    with pytest.raises(KeyboardInterrupt), ctrl_c(0.7):
        LogisticRegression(n_jobs=4, cache="none").fit(X, y)
    n_reads = -1
    while n_reads != len(reads):
        n_reads = len(reads)
        time.sleep(0.5)
    assert n_reads < 400
