"""Strategies: how the work of a fit is spread, one public class per file."""

from daskdsml.utils.registry import exports

__getattr__, __dir__ = exports("strategies")
