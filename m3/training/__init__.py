"""Collecting, training, evaluating, saving."""
