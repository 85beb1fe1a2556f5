"""Losses: what one row costs at a raw score, one public class per file."""

from daskdsml.utils.registry import exports

__getattr__, __dir__ = exports("losses")
