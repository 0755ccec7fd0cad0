"""Whether a model fits this machine now, and with which plan."""
