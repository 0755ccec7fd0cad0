"""The HTTP side: reading requests within bounds, answering them, and who may ask."""
