"""A fake GPU that computes nothing, to follow what training does on a GPU without having one."""
