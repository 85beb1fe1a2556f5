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
    assert "0.77 visits a year fewer (95 % interval 0.51 to 1.04)" in " ".join(printed.split())
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
