"""Penalties on parameters, one public class per file."""
