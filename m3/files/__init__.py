"""Files that are whole or not there, that say what made them, and the folder of a run. Imports no torch."""
