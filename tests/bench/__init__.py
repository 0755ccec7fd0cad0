"""The bench: figures that need a quiet machine, measured side by side with the tools of the field."""
