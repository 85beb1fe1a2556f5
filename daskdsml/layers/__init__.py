"""Layers of neural networks: forward and backward of one batch, one public class per file."""

from daskdsml.utils.registry import exports

__getattr__, __dir__ = exports("layers")
