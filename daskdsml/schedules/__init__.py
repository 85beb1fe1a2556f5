"""Schedules: how the learning rate changes from step to step, one public class per file."""
