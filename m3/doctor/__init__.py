"""Whether a cluster will run an experiment."""
