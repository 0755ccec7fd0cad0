"""One client for everything that speaks the OpenAI API."""
