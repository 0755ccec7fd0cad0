"""Pictures of every page for the README: the real window, a deterministic double of the services behind it."""
