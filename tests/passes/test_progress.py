"""How a fit is shown: a bar in a terminal or a notebook, and its history as a table."""

import pickle
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from daskdsml.linear_model import LogisticRegression, SGDClassifier
from daskdsml.neural_network import MLPClassifier
from daskdsml.neural_network._training import Epoch
from daskdsml.passes.progress import SHOWN_RECORDS, History

rng = np.random.default_rng(0)
X = rng.normal(size=(300, 4))
Y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
MODELS = [
    LogisticRegression(verbose=True),
    SGDClassifier(verbose=True, max_iter=5, tol=None),
    MLPClassifier((3,), verbose=True, max_iter=5, tol=1.0, n_iter_no_change=2),
]
each = pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)


class Notebook:
    """What a notebook saves, and how often each output was updated."""

    def __init__(self):
        self.saved, self.n_updates = [], 0

    def display(self, data, raw, display_id):
        assert raw and display_id
        self.saved.append(data["text/plain"])
        return self

    def update(self, data, raw):
        self.saved[-1] = data["text/plain"]
        self.n_updates += 1


@each
def test_a_notebook_saves_one_line(model, monkeypatch, capsys):
    notebook = Notebook()
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=None))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=notebook.display))
    model.fit(X, Y)
    (line,) = notebook.saved
    assert line.startswith(type(model).__name__)
    assert "loss" in line or "objective" in line
    assert "KKT" not in line
    assert re.search(r"\d (pass|passes|rows)( |/s)", line.replace("k rows", " rows")), line
    assert notebook.n_updates > 0
    assert capsys.readouterr() == ("", "")


@each
def test_a_history_is_a_table(model):
    history = model.fit(X, Y).history_
    frame = history.to_frame()
    assert list(frame.columns) == [name for name in history[0]._fields if name != "step_losses"]
    assert len(frame) == len(history)
    assert history._repr_html_().count("<tr") == len(history) + 1
    assert isinstance(pickle.loads(pickle.dumps(history)), type(history))


def test_a_long_history_is_shown_by_its_ends():
    nan = float("nan")
    told = (
        Epoch(i, 0.0123456, 2.0 / i, nan, 0.5, nan, 193678.5687, (0.1, 0.2)) for i in range(1, 601)
    )
    html = History(told)._repr_html_()
    assert html.count("<tr") == SHOWN_RECORDS + 2
    assert all(
        f"<td>{shown}</td>" in html for shown in ("1", "600", "0.012", "193,679", "0.00333333")
    )
    assert "learning_rate" not in html and "0.2)" not in html
