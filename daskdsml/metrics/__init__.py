"""Scores of predictions that are sums over rows. A part is found by its file: see `registry`."""

from daskdsml.utils.registry import exports

__getattr__, __dir__ = exports("metrics")
