"""Scores of predictions that are sums over rows. A part is found by its file: see `registry`."""
