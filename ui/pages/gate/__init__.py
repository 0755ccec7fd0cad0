"""The Gate page: what may leave, what left, and who may be asked."""
