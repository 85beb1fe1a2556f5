"""The examples run as a user would run them, on a smaller table."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.timeout(300)
def test_quickstart_script(tmp_path):
    command = [sys.executable, str(EXAMPLES / "quickstart.py"), "--gigabytes", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    assert "Breast cancer: 569 rows, 30 columns" in done.stdout
    assert "a bare read of the same blocks" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.timeout(300)
def test_quickstart_notebook(tmp_path):
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    size = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert [cell.source for cell in size] == ["gigabytes = 2.0"]
    size[0].source = "gigabytes = 0.05"
    NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    assert "reads," in printed
