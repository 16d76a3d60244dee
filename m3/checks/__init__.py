"""Checks of whole runs: that killing them leaves no trace, that two of them are the same."""
