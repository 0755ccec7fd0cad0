"""Conversations: sending, streaming, stopping, branching, searching."""
