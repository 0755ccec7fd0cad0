"""The window. Widgets, pictures, keys and words; decisions live in ``app``."""
