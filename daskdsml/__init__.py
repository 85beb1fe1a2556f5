"""Supervised learning on data bigger than memory, on Dask."""

from importlib.metadata import version

from daskdsml.utils.checkpoint import Checkpoint
from daskdsml.utils.versions import show_versions

__all__ = ["Checkpoint", "__version__", "show_versions"]
__version__ = version("daskdsml")
