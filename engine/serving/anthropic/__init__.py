"""Anthropic's protocol, carried by the same calls and events."""
