"""Penalties on parameters, one public class per file."""

from daskdsml.registry import exports

__getattr__, __dir__ = exports("penalties")
