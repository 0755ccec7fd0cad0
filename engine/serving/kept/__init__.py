"""Memories of past conversations on disk: their form, their folder, their thread."""
