"""The engine: runs a pass over blocks on this machine's threads or on a Dask cluster."""

from daskdsml.engine.predict import lazily
from daskdsml.engine.rows import open_rows

__all__ = ["lazily", "open_rows"]
