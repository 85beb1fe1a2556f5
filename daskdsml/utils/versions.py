"""What is installed: for reports of faults."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    *("daskdsml", "dask", "distributed", "numpy", "scipy", "pandas", "scikit-learn", "numba"),
    *("threadpoolctl", "dask-ml", "cupy"),
)


def show_versions() -> None:
    """Print the versions of Python and of the packages in use, and the libraries of threads.

    Nothing is imported for it but ``threadpoolctl``.
    """
    from threadpoolctl import threadpool_info

    lines = {"python": platform.python_version(), "platform": platform.platform()}
    lines |= {name: _version(name) for name in PACKAGES}
    for library in threadpool_info():
        about = (library.get("version"), library.get("architecture"))
        told = " ".join(str(part) for part in about if part)
        lines[library["internal_api"]] = f"{told}, {library['num_threads']} threads".lstrip(", ")
    width = max(map(len, lines))
    for name, value in lines.items():
        print(f"{name:>{width}}: {value}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
