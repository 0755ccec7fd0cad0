"""Models: what is on disk, what fits, what is loaded."""
