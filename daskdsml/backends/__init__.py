"""Backends: evaluate one block on one kind of device, one public class per file."""
