"""Solvers of whole paths of penalties, on all rows and on training sets; one class a file."""
