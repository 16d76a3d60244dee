"""Figures of a benchmark. Each function takes statistics and returns a finished figure."""
