"""Optimizers: parameters from gradients of mini-batches, one public class per file."""

from daskdsml.utils.registry import exports

__getattr__, __dir__ = exports("optimizers")
