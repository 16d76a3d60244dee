"""Files that are complete or absent and say what made them, and the folder of a run. Imports no torch."""
