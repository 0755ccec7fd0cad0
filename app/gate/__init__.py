"""The gate: what may leave this machine, what of it is hidden, who agreed, and the one door it goes through."""
