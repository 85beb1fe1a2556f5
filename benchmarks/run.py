"""Runs the benchmarks and writes RESULTS.md: ``python benchmarks/run.py [row ...]``.

Without names all rows are run, which takes about an hour on 2 cores. With ``--scale`` below 1 it is
a trial: the table is printed and, unless ``--out`` names a folder, not written.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
import time
import traceback
from pathlib import Path

from measure import pin_threads

HERE = Path(__file__).parent


def main() -> int:
    """Run the rows asked for; 1 if one of them raised."""
    from rows import ROWS

    args = _arguments(list(ROWS))
    # A cancelled run must still take its clusters and temporary files away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out = args.out or (HERE if args.scale == 1.0 else None)
    command = shlex.join(["python", "benchmarks/run.py", *sys.argv[1:]])
    failed = [name for name in args.rows if not _run(name, args, out, command)]
    if failed:
        print(f"Raised: {', '.join(failed)}")
    return int(bool(failed))


def _arguments(names):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="row", help=f"any of: {', '.join(names)}")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on sizes, for a trial")
    parser.add_argument("--repeats", type=int, default=5, help="alternated timed runs")
    parser.add_argument("--skip-slow", action="store_true", help="leave out dask-ml's admm")
    parser.add_argument("--out", type=Path, help="folder for results.json and RESULTS.md")
    args = parser.parse_args()
    strangers = [name for name in args.rows if name not in names]
    if strangers:
        parser.error(f"unknown rows {strangers}: expected some of {names}")
    args.rows = [name for name in names if not args.rows or name in args.rows]
    return args


def _run(name, args, out, command) -> bool:
    """Run one row and keep its lines; whether it did not raise."""
    from report import SHORT, Line, Setup, keep, say_lines
    from rows import ROWS, find

    print(f"== {name}", flush=True)
    run = {"date": time.strftime("%Y-%m-%d %H:%M"), "load": os.getloadavg()[0], "command": command}
    start, good = time.perf_counter(), True
    try:
        setup = Setup(args.scale, args.repeats, not args.skip_slow)
        lines = find(name)(setup)
    except Exception as error:
        traceback.print_exc()
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        lines, good = [Line(name, "runs", "raised", SHORT, text[:300])], False
    say_lines(lines)
    if out is not None:
        keep(out, name, ROWS, lines, seconds=time.perf_counter() - start, **run)
    return good


if __name__ == "__main__":
    pin_threads(2)
    raise SystemExit(main())
