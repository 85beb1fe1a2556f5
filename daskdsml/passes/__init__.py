"""Passes: what one block contributes and how contributions add, one file per kind."""
