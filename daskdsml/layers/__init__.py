"""Layers of neural networks: forward and backward of one batch, one public class per file."""
