"""scikit-learn's own tests, run on our classes: ``python benchmarks/scikit_learn_tests.py``.

The installed scikit-learn's test files are collected with our estimators and path functions in
place of those of the same names. What fails is printed as a table, each line with its reason from
`scikit_learn_differences`; exits with 1 if a failure has none. With
``--dask`` the estimators are given X, y and weights as Dask Arrays of a few chunks.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import os
import sys
from collections import Counter
from fnmatch import fnmatchcase

import numpy as np
import pytest
import sklearn
import sklearn.linear_model
import sklearn.neural_network
from sklearn._loss.loss import HalfGammaLoss, HalfPoissonLoss

import daskdsml.linear_model
import daskdsml.neural_network
from scikit_learn_differences import DIFFERENCES, WITH_DASK

FILES = {
    "test_base": "sklearn.linear_model.tests.test_base",
    "test_ridge": "sklearn.linear_model.tests.test_ridge",
    "test_coordinate_descent": "sklearn.linear_model.tests.test_coordinate_descent",
    "test_logistic": "sklearn.linear_model.tests.test_logistic",
    "test_glm": "sklearn.linear_model._glm.tests.test_glm",
    "test_sgd": "sklearn.linear_model.tests.test_sgd",
    "test_huber": "sklearn.linear_model.tests.test_huber",
    "test_mlp": "sklearn.neural_network.tests.test_mlp",
}
PAIRS = (
    (sklearn.linear_model, daskdsml.linear_model),
    (sklearn.neural_network, daskdsml.neural_network),
)
# What tests ask of scikit-learn's classes to make their data, not to test it.
HELPERS = {
    daskdsml.linear_model.PoissonRegressor: {"_get_loss": lambda self: HalfPoissonLoss()},
    daskdsml.linear_model.GammaRegressor: {"_get_loss": lambda self: HalfGammaLoss()},
}
# Methods whose arguments of rows are given as Dask Arrays.
OF_ROWS = ("fit", "partial_fit", "predict", "predict_proba", "predict_log_proba")
OF_ROWS += ("decision_function", "score")


def main() -> int:
    """Run the files asked for; 1 if a difference has no reason."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", metavar="file", help=f"any of: {', '.join(FILES)}")
    parser.add_argument("--dask", action="store_true", help="give the estimators Dask Arrays")
    parser.add_argument("--match", default="", help="as pytest's -k")
    args = parser.parse_args()
    put_in_place(lazily=args.dask)
    recorder = Recorder()
    names = args.files or list(FILES)
    options = ["-q", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
    options += ["-c", os.devnull, "--rootdir", os.path.dirname(sklearn.__file__)]
    options += ["-W", "ignore", "-k", args.match, "--pyargs"]
    pytest.main([*options, *(FILES[name] for name in names)], plugins=[recorder])
    complete = not args.match and names == list(FILES)
    return report(recorder, DIFFERENCES | (WITH_DASK if args.dask else {}), complete)


def put_in_place(lazily: bool) -> None:
    """Let scikit-learn's packages offer our classes and functions under their own names."""
    for estimator, helpers in HELPERS.items():
        for name, helper in helpers.items():
            setattr(estimator, name, helper)
    for theirs, ours in PAIRS:
        for name in ours.__all__:
            if not hasattr(theirs, name):
                continue
            part = getattr(ours, name)
            setattr(theirs, name, on_dask(part) if lazily and inspect.isclass(part) else part)


def on_dask(estimator: type) -> type:
    """A subclass that turns the arrays of rows it is given into Dask Arrays, and results back."""
    methods = {
        name: _lazily(getattr(estimator, name))
        for name in OF_ROWS
        if inspect.isfunction(inspect.getattr_static(estimator, name, None))
    }
    subclass = type(estimator.__name__, (estimator,), {**methods, "__module__": __name__})
    globals()[estimator.__name__] = subclass  # where pickle looks for it
    return subclass


def _lazily(method):
    @functools.wraps(method)
    def wrapped(self, X, *rest, **named):
        n = np.shape(X)[0] if isinstance(X, np.ndarray) and X.ndim == 2 else 0
        rest = [_chunked(part, n) for part in rest]
        named = {key: _chunked(part, n) for key, part in named.items()}
        result = method(self, _chunked(X, n), *rest, **named)
        return result.compute() if hasattr(result, "compute") else result

    return wrapped


def _chunked(part, n):
    """An array of ``n`` rows as a Dask Array of three chunks; anything else as it is."""
    import dask.array as da

    if not isinstance(part, np.ndarray) or n < 2 or part.ndim == 0 or len(part) != n:
        return part
    chunks = (-(-n // 3), *part.shape[1:])
    return da.from_array(part, chunks=chunks)


class Recorder:
    """What became of each test: a pytest plugin."""

    def __init__(self):
        self.failed: dict[str, str] = {}
        self.counts: Counter = Counter()

    def pytest_runtest_logreport(self, report):
        name = report.nodeid.rpartition("/")[2].replace(".py::", "::")
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.failed[name] = str(crash.message if crash else report.longrepr)
        if report.when == "call" or report.failed or report.skipped:
            self.counts[name.partition("::")[0], report.outcome] += 1


def report(recorder, differences, complete) -> int:
    """Print the table of differences; 1 if it has a line without a reason."""
    used, unreasoned = set(), 0
    for test, message in sorted(recorder.failed.items()):
        pattern = next((p for p in differences if fnmatchcase(test, p)), None)
        used.add(pattern)
        unreasoned += pattern is None
        first = " ".join(message.split())[:160]
        print(f"{test}\n    ours: {first}\n    reason: {differences.get(pattern, 'NONE')}")
    unused = [pattern for pattern in differences if pattern not in used] if complete else []
    for pattern in unused:
        print(f"{pattern}: a reason, but no failure")
    print(f"\nscikit-learn {sklearn.__version__}")
    for name in dict.fromkeys(file for file, _ in recorder.counts):
        counts = {kind: recorder.counts[name, kind] for kind in ("passed", "failed", "skipped")}
        print(f"{name}: {', '.join(f'{n} {kind}' for kind, n in counts.items())}")
    print(f"{len(recorder.failed)} differences, {unreasoned} of them without a reason")
    return int(bool(unreasoned))


if __name__ == "__main__":
    sys.exit(main())
