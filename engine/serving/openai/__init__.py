"""OpenAI's protocol: requests as records, answers in its shapes."""
