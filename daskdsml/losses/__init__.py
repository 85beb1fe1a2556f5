"""Losses: what one row costs at a raw score, one public class per file."""
