"""Benchmarks side by side in one run: ``make bench``. Ratios, because machines are noisy."""
