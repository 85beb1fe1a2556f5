"""Keeps the lines of every row in results.json and renders them as RESULTS.md."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psutil

MET, SHORT, INFO, SKIPPED = "met", "short", "-", "skipped"
PACKAGES = (
    "daskdsml",
    "dask",
    "distributed",
    "scikit-learn",
    "dask-ml",
    "dask-glm",
    "glum",
    "celer",
)
PACKAGES += ("numpy", "scipy", "numba")
COLUMNS = ("what", "target", "measured", "verdict", "detail")


class Line(NamedTuple):
    """One line of the table: what was measured, the target, the figure, whether it is met."""

    what: str
    target: str
    figure: str
    verdict: str
    detail: str = ""


class Setup(NamedTuple):
    """What the command line asked for: ``scale`` of the sizes, ``slow`` rows too or not."""

    scale: float = 1.0
    repeats: int = 5
    slow: bool = True

    def size(self, n: int, least: int = 1) -> int:
        """``n`` at this run's scale, but at least ``least``."""
        return max(int(n * self.scale), least)


def judge(good: bool) -> str:
    """The verdict on a target."""
    return MET if good else SHORT


def machine() -> str:
    """Processor, cores, memory, system."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        cpu = next((s.split(":", 1)[1].strip() for s in lines if "model name" in s), cpu)
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}"
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB memory, {system}"


def versions() -> str:
    """Python and the packages compared, with their versions."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} absent")
    return ", ".join(found)


def commit() -> str:
    """The commit of the working tree, marked where the package has changed since."""
    folder = Path(__file__).parent.parent
    asked = {"cwd": folder, "capture_output": True, "text": True, "check": False}
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], **asked).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "daskdsml"], **asked).stdout.strip()
    return "not committed" if not head or head == "HEAD" else head + (" + changes" * bool(changed))


def keep(folder: Path, name: str, order, lines: list[Line], **run) -> None:
    """Put the lines of row ``name`` in place of earlier ones and render the table anew."""
    folder.mkdir(parents=True, exist_ok=True)
    store = folder / "results.json"
    results = json.loads(store.read_text()) if store.exists() else {}
    here = {"machine": machine(), "versions": versions(), "commit": commit()}
    results[name] = {**run, **here, "lines": [line._asdict() for line in lines]}
    results = {key: results[key] for key in order if key in results}
    store.write_text(json.dumps(results, indent=1) + "\n")
    (folder / "RESULTS.md").write_text(render(results))


def say_lines(lines: list[Line]) -> None:
    """Print lines of the table to the terminal."""
    for line in lines:
        print(f"{line.verdict:>7}  {line.what}: {line.figure} (target: {line.target})", flush=True)
        if line.detail:
            print(f"         {line.detail}", flush=True)


def render(results: dict) -> str:
    """All results as Markdown."""
    out = ["# Benchmark results", "", "Written by `python benchmarks/run.py`; do not edit.", ""]
    out += [_row(COLUMNS), _row(["---"] * len(COLUMNS))]
    for result in results.values():
        out += [_row(line.values()) for line in result["lines"]]
    out += ["", "## Runs", "", _row(("row", "date", "took", "load before", "command"))]
    out.append(_row(["---"] * 5))
    for name, result in results.items():
        took, load = f"{result['seconds']:.0f} s", f"{result['load']:.1f}"
        out.append(_row((name, result["date"], took, load, f"`{result['command']}`")))
    for title in ("machine", "versions", "commit"):
        out += ["", f"## {title.capitalize()}", ""]
        out += [f"- {text}: {', '.join(rows)}" for text, rows in _shared(results, title)]
    return "\n".join(out) + "\n"


def _shared(results, title):
    """Each text under ``title`` with the rows that were run under it."""
    rows: dict[str, list[str]] = {}
    for name, result in results.items():
        rows.setdefault(result[title], []).append(name)
    if len(rows) == 1:
        return [(next(iter(rows)), ["all rows"])]
    return list(rows.items())


def _row(cells) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
