"""What we have of the authors' code: its golden values, its weights, its published checkpoints."""
