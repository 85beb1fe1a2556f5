"""Passes over all rows of a table."""
