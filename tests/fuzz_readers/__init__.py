"""Broken documents by the thousand for the readers, which may refuse them but never answer nonsense or hang."""
