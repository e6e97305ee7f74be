"""Measurements; each file prints one table. Run from the repository root: python -m benchmarks.quality."""
