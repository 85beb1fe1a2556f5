"""One BLAS thread inside a task; see `daskdsml.backends.threads`."""

from daskdsml.backends.threads import single_threaded_blas

__all__ = ["single_threaded_blas"]
