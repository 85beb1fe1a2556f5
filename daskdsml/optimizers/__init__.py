"""Optimizers: parameters from gradients of mini-batches, one public class per file."""

from daskdsml.registry import exports

__getattr__, __dir__ = exports("optimizers")
