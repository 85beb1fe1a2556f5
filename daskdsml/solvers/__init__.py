"""Solvers: from sums over the data to the next parameters, one public class per file."""
