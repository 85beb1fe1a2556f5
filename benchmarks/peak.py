"""Fits once in this process and prints its peak memory in MB; started by `measure.peak_memory`."""

from __future__ import annotations

import json
import resource
import sys
import warnings
from pathlib import Path


def peak_mb() -> float:
    """Peak resident memory of this process since it was started, in MB (1e6 bytes).

    ``ru_maxrss`` outlives ``exec`` on Linux and then holds the peak of the process that started
    this one, if that was larger; VmHWM belongs to this program alone.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main(folder: str, library: str, options: str) -> None:
    """Load ``folder/X.npy`` and ``folder/y.npy``, fit them with ``library``, print the peak."""
    import numpy as np

    from libraries import Problem, load

    adapter, reason = load(library)
    if adapter is None:
        raise SystemExit(f"{library}: {reason}")
    X, y = np.load(Path(folder) / "X.npy"), np.load(Path(folder) / "y.npy")
    warnings.simplefilter("ignore")
    adapter.fit(Problem(X, y, strength=1.0 / len(y)), **json.loads(options))
    print(peak_mb())


if __name__ == "__main__":
    main(*sys.argv[1:])
