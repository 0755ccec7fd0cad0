"""Which model a prompt needs: transparent rules over features, and how sure the local model was of its answer."""
