"""The examples run as a user would run them, on a smaller table."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"


def printed_by(script, *options, folder):
    """What an example prints, run in ``folder``."""
    command = [sys.executable, str(EXAMPLES / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=280)
    assert done.returncode == 0, done.stderr
    return done.stdout


def flat(printed):
    """Text on one line."""
    return " ".join(printed.split())


def pictures_in(folder):
    """Names of the pictures, all of which are PNG and not empty."""
    files = sorted(folder.iterdir())
    assert all(file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for file in files)
    assert all(file.stat().st_size > 20_000 for file in files)
    return [file.name for file in files]


def executed(name, size, smaller, folder):
    """An example notebook, executed with its parameter ``size`` replaced by a ``smaller`` one."""
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    cells = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in cells] == [size]
    cells[0].source = smaller
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": folder}}
    ).execute()
    return notebook


def outputs_of(notebook, kind):
    """All outputs of that MIME type."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


@pytest.mark.timeout(300)
def test_quickstart_script(tmp_path):
    printed = printed_by("quickstart.py", "--gigabytes", "0.05", folder=tmp_path)
    assert "Breast cancer: 569 rows, 30 columns" in printed
    assert "a bare read of the same blocks" in printed
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(300)
def test_quickstart_notebook(tmp_path):
    notebook = executed("quickstart.ipynb", "gigabytes = 2.0", "gigabytes = 0.05", tmp_path)
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "reads," in printed


@pytest.mark.timeout(300)
def test_effects_script(tmp_path):
    printed = printed_by("effects.py", "--out", "pictures", folder=tmp_path)
    # The numbers are those of statsmodels' OLS(...).fit(cov_type=..., use_t=True).
    assert re.search(r"hlthp +1\.44096 +0\.64332 +2\.240 +0\.0251 +\*", printed)
    assert re.search(r"hlthp +1\.4410 +0\.2607 +0\.4030 +0\.4043 +0\.6433", printed)
    assert "(5294 clusters)" in printed
    assert "reads of the data: nonrobust 1, HC1 1, HC3 2, cluster 1" in printed
    assert "cluster    F(4, 5293) = 31.8, p = 3.1e-26" in printed
    assert "nonrobust  F(3, 20180) = 11.8, p = 1.1e-07" in printed
    assert "cluster    F(3, 5293) = 2.1, p = 0.096" in printed
    assert "0.77 visits a year fewer (95 % interval 0.51 to 1.04)" in flat(printed)
    assert pictures_in(tmp_path / "pictures") == ["effects.png"]
    assert [file.name for file in tmp_path.iterdir()] == ["pictures"]


@pytest.mark.timeout(300)
def test_effects_notebook(tmp_path):
    notebook = executed("effects.ipynb", "rows = 20_190", "rows = 5_000", tmp_path)
    tables = outputs_of(notebook, "text/html")
    assert any("<b>LinearRegression</b>, 5000 rows" in table for table in tables)
    assert any("cluster / nonrobust" in table for table in tables)
    assert len(outputs_of(notebook, "image/png")) == 1
    assert not list(tmp_path.iterdir())


def test_effects_notebook_keeps_its_outputs():
    notebook = nbformat.read(EXAMPLES / "effects.ipynb", as_version=4)
    tables = outputs_of(notebook, "text/html")
    assert any("<b>LinearRegression</b>, 20190 rows" in table for table in tables)
    assert len(outputs_of(notebook, "image/png")) == 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_genes_script(tmp_path):
    printed = printed_by("genes.py", "--genes", "6000", "--out", "pictures", folder=tmp_path)
    assert "400 patients, 6,000 genes, 15 of them with an effect" in printed
    assert "LassoCV on 200 patients: solver working_set" in printed
    gap = re.search(r"duality gap ([^,]+), of a variance of health of ([0-9.]+)", printed)
    assert 0.0 <= float(gap[1]) <= 1e-4 * float(gap[2])
    chosen = re.search(r"one s\.e\. .* (\d+) of the 15 true ones, (\d+) false", printed)
    assert int(chosen[1]) == 15
    assert "infer(model, X, y) refuses: LassoCV is penalised" in printed
    pattern = r"{} patients .* (\d+) of \d+ false ones significant at 5 %; (\d+) of (\d+) intervals"
    same, fresh = (
        [int(number) for number in re.search(pattern.format(kind), printed).groups()]
        for kind in ("same", "fresh")
    )
    assert same[1] < 0.85 * same[2]
    assert fresh[1] > 0.9 * fresh[2]
    assert fresh[0] < same[0]
    assert pictures_in(tmp_path / "pictures") == ["genes.png", "intervals.png"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_shrinkage_script(tmp_path):
    printed = printed_by("shrinkage.py", "--splits", "1", "--out", "pictures", folder=tmp_path)
    assert "221 patients to learn from, 64 columns" in printed
    rows = re.findall(r"^ +(\d+) +(\d+) +(\d+) +(\d+)$", printed, flags=re.MULTILINE)
    sizes, training, _, test = np.array(rows, dtype=int).T
    assert sizes[0] == 0 and sizes[-1] == 64
    assert (np.diff(training) < 0).all()
    assert test[-1] > 2 * test.min()  # it turns up
    table = dict(re.findall(r"^([a-z ]+, [a-z ]+?) +[0-9.]+ +\d+ +(\d+)$", printed, re.MULTILINE))
    everything = int(table.pop("least squares, all columns"))
    assert len(table) == 6
    assert all(int(error) < 0.6 * everything for error in table.values())
    assert pictures_in(tmp_path / "pictures") == ["paths.png", "sizes.png"]


@pytest.mark.timeout(300)
def test_odds_script(tmp_path):
    printed = printed_by("odds.py", "--patients", "60000", "--out", "pictures", folder=tmp_path)
    assert "60,000 patients in 3 blocks, 120 hospitals" in printed
    assert "ConvergenceWarning: LogisticRegression found the classes separated" in printed
    assert re.search(r"hospice +-[0-9.]+ +nan +nan +separated +nan +nan +nan", printed)
    ratio = r" +([0-9.]+) \(95 % interval ([0-9.]+) to ([0-9.]+)\)"
    everyone, alike = (
        [float(number) for number in re.search(who + ratio, printed).groups()]
        for who in ("all patients", "alike in all other columns")
    )
    assert everyone[1] > 1.2  # confounded
    assert alike[1] < 0.75 < alike[2]
    rows = re.findall(r"^(\w+)" + r" +([0-9.e-]+)" * 5 + "$", printed, re.MULTILINE)
    errors = {name: float(cells[-1]) for name, *cells in rows}
    assert len(errors) == 6
    assert errors.pop("town") > 1.5  # a column of hospitals
    assert max(errors.values()) < 1.3
    change = r"differ by (\S+) of their size at most, standard errors by (\S+)\."
    change = re.search(change, flat(printed))
    assert max(map(float, change.groups())) < 1e-3
    came, plain, balanced = map(float, re.findall(r"([0-9.]+) %(?: came|$)", printed, re.MULTILINE))
    assert abs(plain - came) < 1.0
    assert balanced > 40.0
    assert pictures_in(tmp_path / "pictures") == ["odds.png"]


@pytest.mark.timeout(300)
def test_digits_script(tmp_path):
    printed = printed_by("digits.py", "--epochs", "4", "--out", "pictures", folder=tmp_path)
    rows = re.findall(r"^ *([0-9.]+)" + r" +([0-9.]+)" * 7 + "$", printed, re.MULTILINE)
    C, reads, _, right, seen, left_out, fresh, _ = np.array(rows, dtype=float).T
    assert len(C) == 6
    assert reads.max() <= 15
    assert right.max() > 0.96
    assert (np.diff(seen) < 0.0).all()
    assert left_out[0] > left_out.min() < left_out[-1]
    assert (left_out > seen).all()
    assert fresh[left_out.argmin()] < 0.1
    assert f"C = {C[left_out.argmin()]:g}, from" in printed
    rows = re.findall(r"^ +(1|32|full) +(\d+)" + r" +([0-9.]+)" * 4 + "$", printed, re.MULTILINE)
    assert [row[:2] for row in rows] == [("1", "4800"), ("32", "152"), ("full", "4")]
    losses = [float(row[4]) for row in rows]
    assert losses[0] < losses[1] < losses[2]
    assert pictures_in(tmp_path / "pictures") == ["curves.png", "digits.png"]


@pytest.mark.timeout(300)
def test_biopsies_script(tmp_path):
    printed = printed_by("biopsies.py", "--genes", "1000", "--out", "pictures", folder=tmp_path)
    assert "300 patients, 1,000 genes, 12 of which matter" in printed
    assert re.search(r"LogisticRegressionCV: 180 fits in \d\d reads of X", printed)
    assert float(re.search(r"worst KKT residual (\S+)", printed)[1]) <= 1e-4
    row = r"^  {} +(\d+) +(\d+) +([0-9.]+) % +([0-9.]+) +([0-9.]+) % +([0-9.]+) +([0-9.]+) %$"
    best, simple, free = (
        [float(cell) for cell in re.search(row.format(name), printed, re.MULTILINE).groups()]
        for name in ("lowest loss", "one standard error", "no penalty")
    )
    assert best[0] >= 11
    assert simple[1] < best[1] < free[1] == 988
    assert free[2:4] == [100.0, 0.0]
    assert free[4] < best[4] - 10.0
    assert free[5] > 1.5 * max(best[5], simple[5])
    assert pictures_in(tmp_path / "pictures") == ["biopsies.png"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_odds_notebook(tmp_path):
    notebook = executed("odds.ipynb", "patients = 200_000", "patients = 60_000", tmp_path)
    tables = outputs_of(notebook, "text/html")
    assert any("<b>LogisticRegression</b>, 60000 rows" in table for table in tables)
    assert any("separated" in table and "Odds ratio" in table for table in tables)
    assert any("cluster / nonrobust" in table for table in tables)
    assert len(outputs_of(notebook, "image/png")) == 2
    assert not list(tmp_path.iterdir())


def test_odds_notebook_keeps_its_outputs():
    notebook = nbformat.read(EXAMPLES / "odds.ipynb", as_version=4)
    tables = outputs_of(notebook, "text/html")
    assert any("<b>LogisticRegression</b>, 200000 rows" in table for table in tables)
    assert len(outputs_of(notebook, "image/png")) == 2


@pytest.mark.timeout(300)
def test_networks_script(tmp_path):
    printed = printed_by("networks.py", "--epochs", "15", "--out", "pictures", folder=tmp_path)
    assert "1437 pictures to learn from, 360 held out, 10 digits" in printed
    assert re.search(r"Conv2D\(16, padding='same'\) +\(16, 8, 8\) +160", printed)
    rows = re.findall(r"^([a-z]+) +([0-9,]+) +[0-9.]+ +[0-9,]+ +[0-9.]+ +([0-9.]+)$", printed, re.M)
    assert [row[:2] for row in rows] == [
        ("perceptron", "9,866"),
        ("convolutions", "6,186"),
        ("recurrent", "31,210"),
    ]
    assert all(float(right) > 0.95 for *_, right in rows)
    assert "the same probabilities, to the bit: True" in printed
    assert pictures_in(tmp_path / "pictures") == ["learning.png", "misread.png"]


@pytest.mark.timeout(300)
def test_sunspots_script(tmp_path):
    options = ("--epochs", "40", "--starts", "1", "--out", "pictures")
    printed = printed_by("sunspots.py", *options, folder=tmp_path)
    assert "Years 1700 to 1920 to learn from, 1921 to 2008 to judge by" in printed
    assert "205 windows of 16 rows, stride=1, horizon=1) in 4 blocks" in printed
    rows = re.findall(r"^  ([A-Za-z ]+?) +([0-9.]+) +[0-9.]+ +[0-9.]+$", printed, re.M)
    errors = {name: float(error) for name, error in rows}
    assert list(errors) == ["as last year", "linear autoregression", "LSTM", "GRU"]
    # The root mean square of yearly differences, and numpy.linalg.lstsq on the same windows.
    assert errors.pop("as last year") == 30.4
    assert errors["linear autoregression"] == 16.4
    assert max(errors.values()) < 26.0
    assert pictures_in(tmp_path / "pictures") == ["sunspots.png"]


@pytest.mark.timeout(300)
def test_tagging_script(tmp_path):
    options = ("--texts", "1500", "--epochs", "6", "--out", "pictures")
    printed = printed_by("tagging.py", *options, folder=tmp_path)
    assert "1,500 texts of 5 to 40 signs in 3 blocks" in printed
    row = r"^  ([a-z ]+?) +[0-9,]+" + r" +([0-9.]+)" * 5 + "$"
    rows = {name: list(map(float, cells)) for name, *cells in re.findall(row, printed, re.M)}
    alone, left, both = (rows[n][0] for n in ("the sign alone", "from the left", "both ways"))
    assert alone + 5.0 < left < both - 5.0
    assert both > 95.0
    assert pictures_in(tmp_path / "pictures") == ["tagging.png"]


@pytest.mark.timeout(300)
def test_edges_script(tmp_path):
    options = ("--patches", "1500", "--epochs", "8", "--out", "pictures")
    printed = printed_by("edges.py", *options, folder=tmp_path)
    assert "0 Conv2D(4, padding='same', activation='relu', weights=<K (4, 1, 3, 3)>" in printed
    rows = re.findall(
        r"^  ([a-z, ]+?) +([0-9,]+) numbers learned +([0-9.]+) +([0-9.]+)", printed, re.M
    )
    learned = {name: count for name, count, _, _ in rows}
    assert learned == {"bare pixels": "4,146", "edges, given": "1,074", "own filters": "1,178"}
    fresh = {name: float(share) for name, *_, share in rows}
    assert fresh["edges, given"] > 65.0
    assert fresh["own filters"] > fresh["edges, given"] + 3.0
    assert pictures_in(tmp_path / "pictures") == ["edges.png"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_gradients_script(tmp_path):
    printed = printed_by("gradients.py", "--epochs", "6", "--out", "pictures", folder=tmp_path)
    assert "logistic 0.25, tanh 1.00, relu 1.00, leaky_relu 1.00, elu 1.00" in printed
    number = r" +([0-9.e+-]+)"
    rows = re.findall(r"^  (logistic|tanh|relu) +([a-z0-9 ]+?)" + number * 4 + "$", printed, re.M)
    inside = {row[:2]: np.array(row[2:], dtype=float) for row in rows}
    assert len(inside) == 12
    for activation in ("tanh", "relu"):
        first, last = inside[activation, "a third as wide"][:2]
        assert last < 1e-3 * first
    first, last = inside["relu", "3 x as wide"][:2]
    assert last > 1e3 * first
    first, last = inside["logistic", "by default"][2:]
    assert first < 1e-4 * last
    for activation in ("logistic", "tanh", "relu"):
        first, last = inside[activation, "with batch norm"][2:]
        assert 0.2 < first / last < 5.0
    losses = re.search(
        r"logistic +without batch norm ([0-9.]+), with batch norm ([0-9.]+)", printed
    )
    assert float(losses[2]) < 0.3 * float(losses[1])
    names = ["activations.png", "batch_norm.png", "starts.png"]
    assert pictures_in(tmp_path / "pictures") == names


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_script(tmp_path):
    printed = printed_by("memory.py", "--epochs", "6", "--out", "pictures", folder=tmp_path)
    number = r" +([0-9.e+-]+)"
    rows = re.findall(r"^  ([A-Z].*?)" + number * 2 + r" +(-|\d+)" + number + "$", printed, re.M)
    left = {name: float(share) for name, share, *_ in rows}
    assert left["Elman, half as wide"] < 1e-15
    assert left["GRU"] < 1e-4 < left["Elman"] < 1e-3 < left["LSTM"]
    assert 0.01 < left["GRU, patient"] < 1.0 < 1e6 < left["Elman, 3 x as wide"]
    learned = {name: epoch != "-" and float(right) > 0.95 for name, *_, epoch, right in rows}
    assert [name for name, done in learned.items() if done] == ["LSTM", "GRU, patient"]
    assert pictures_in(tmp_path / "pictures") == ["memory.png"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_networks_notebook(tmp_path):
    notebook = executed("networks.ipynb", "epochs = 40", "epochs = 8", tmp_path)
    tables = outputs_of(notebook, "text/html")
    assert any("CNNClassifier: rows (1, 8, 8), float32" in table for table in tables)
    assert outputs_of(notebook, "text/plain").count("True") == 1
    assert len(outputs_of(notebook, "image/png")) == 2
    assert not list(tmp_path.iterdir())


def test_networks_notebook_keeps_its_outputs():
    notebook = nbformat.read(EXAMPLES / "networks.ipynb", as_version=4)
    tables = outputs_of(notebook, "text/html")
    table = next(table for table in tables if "right of those held out" in table)
    rights = [float(right) for right in re.findall(r"<td>(0\.9\d+)</td>", table)]
    assert [right > least for right, least in zip(rights, (0.97, 0.985, 0.96), strict=True)] == [
        True
    ] * 3
    assert len(outputs_of(notebook, "image/png")) == 2


@pytest.mark.timeout(300)
def test_compare_strategies_script(tmp_path):
    options = ("--rows", "4000", "--epochs", "2", "--out", "pictures")
    printed = printed_by("compare_strategies.py", *options, folder=tmp_path)
    linear, networks = printed.split("A network of 64 units")
    # All that is exact ends at the same loss.
    losses = re.findall(r"(?:all_reduce, \S+|ADMM) .* (0\.\d+)\n", linear)
    assert len(losses) == 3 and len(set(losses)) == 1
    same = re.findall(r"(?:all_reduce|parameter_server|columns) +.* (0\.\d+)\n", networks)
    assert len(same) == 3 and np.ptp([float(loss) for loss in same]) <= 1e-4
    assert pictures_in(tmp_path / "pictures") == ["strategies.png"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_compare_strategies_notebook(tmp_path):
    given = "n_rows, n_epochs = 100_000, 8"
    notebook = executed("compare_strategies.ipynb", given, "n_rows, n_epochs = 4_000, 1", tmp_path)
    tables = outputs_of(notebook, "text/html")
    assert any("parameter_server, staleness 4" in table for table in tables)
    assert any("ADMM" in table for table in tables)
    assert len(outputs_of(notebook, "image/png")) == 1
    assert not list(tmp_path.iterdir())
