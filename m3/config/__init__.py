"""Settings: typed, in layers, with errors that name file and key; and the experiment. Knows nothing else of m3."""
