"""Supervised learning on data bigger than memory, on Dask."""

from importlib.metadata import version

__version__ = version("daskdsml")
