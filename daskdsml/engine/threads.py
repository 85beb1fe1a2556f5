"""One BLAS thread inside a task; see `daskdsml.threads`."""

from daskdsml.threads import single_threaded_blas

__all__ = ["single_threaded_blas"]
