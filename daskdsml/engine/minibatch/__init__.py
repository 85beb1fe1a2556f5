"""Shuffled mini-batches of rows."""
