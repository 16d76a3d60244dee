"""Everything that computes: collecting, training each part, evaluating. Knows no files."""
