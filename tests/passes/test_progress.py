"""How a fit is shown: a bar in a terminal or a notebook, and its history as a table."""

import pickle
import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

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
    monkeypatch.setitem(sys.modules, "ipywidgets", None)  # as if it were not installed
    model.fit(X, Y)
    (line,) = notebook.saved
    assert line.startswith(type(model).__name__)
    assert "loss" in line or "objective" in line
    assert "KKT" not in line
    assert re.search(r"\d (pass|passes|rows)( |/s)", line.replace("k rows", " rows")), line
    assert notebook.n_updates > 0
    assert capsys.readouterr() == ("", "")


def test_a_fit_that_is_interrupted_leaves_its_last_state(monkeypatch, capsys):
    def interrupt(model, record):
        if record.epoch == 3:
            raise KeyboardInterrupt

    model = MLPClassifier((3,), verbose=True, max_iter=5, tol=None, callbacks=[interrupt])
    with pytest.warns(ConvergenceWarning, match="was interrupted in epoch 4"):
        model.fit(X, Y)
    assert re.search(r"60%.* epoch 3/5, loss \S+\]\n$", capsys.readouterr().err)


CELLS = [
    """
import sys
from contextlib import closing
from daskdsml.contracts import Record
from daskdsml.passes.progress import Progress, bar
print("ipywidgets" in sys.modules)""",
    """
with closing(Progress("Model", verbose=True)) as progress:
    for objective in (3.0, 2.0):
        progress.add(Record("gradient", 0.1, objective))""",
    """
with closing(bar("<Network>", total=10, unit=" rows", mininterval=0)) as shown:
    shown.update(4)
    raise KeyboardInterrupt""",
    """
sys.modules["ipywidgets"] = None  # as if it were not installed
with closing(bar("Network", total=10, unit=" rows", mininterval=0)) as shown:
    shown.update(10)""",
]
WIDGET = "application/vnd.jupyter.widget-view+json"


def executed():
    """The outputs of `CELLS`, and the messages of the kernel, by cell."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    messages = [[] for _ in CELLS]

    class Client(nbclient.NotebookClient):
        def process_message(self, message, cell, cell_index):
            messages[cell_index].append((message["msg_type"], message["content"]))
            return super().process_message(message, cell, cell_index)

    cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    notebook = nbformat.v4.new_notebook(cells=cells)
    Client(notebook, timeout=60, kernel_name="python3", allow_errors=True).execute()
    return [cell.outputs for cell in notebook.cells], messages


def test_a_widget_gives_way_to_the_line_that_is_saved():
    pytest.importorskip("ipywidgets")
    outputs, messages = executed()
    assert outputs[0][0].text == "False\n"  # it is imported for a bar alone
    assert [output.output_type for output in outputs[2][1:]] == ["error"]
    assert outputs[2][1].ename == "KeyboardInterrupt"
    for cell, expected in (
        (1, r"Model: 2 passes in \d\d:\d\d, gradient, objective 2"),
        (2, r"<Network>:  40%\|.* 4/10 \[.*rows/s\]"),
        (3, r"Network: 100%\|.* 10/10 \[.*rows/s\]"),
    ):
        (saved,) = (output for output in outputs[cell] if output.output_type == "display_data")
        assert list(saved.data) == ["text/plain"]
        assert re.fullmatch(expected, saved.data["text/plain"])
        kinds = [kind for kind, _ in messages[cell]]
        (shown,) = (content for kind, content in messages[cell] if kind == "display_data")
        assert (WIDGET in shown["data"]) == ("comm_open" in kinds) == (cell < 3)
        assert kinds.count("comm_open") == kinds.count("comm_close")
        assert "text/plain" in shown["data"]
    states = [content["data"].get("state", {}) for kind, content in messages[2] if "comm" in kind]
    assert {"value": 4.0} in states
    assert any("&lt;Network&gt;" in str(state.get("value")) for state in states)


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
