"""A GPU that computes nothing, so that what training does on one can be followed on a machine without."""
