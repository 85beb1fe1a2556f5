"""Schedules: how the learning rate changes from step to step, one public class per file."""

from daskdsml.utils.registry import exports

__getattr__, __dir__ = exports("optimizers.schedules")
