"""Strategies: how the work of a fit is spread, one public class per file."""
