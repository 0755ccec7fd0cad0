"""The engine: hardware, GGUF, memory, llama.cpp and tokens. Knows nothing of Qt, SQLite, settings or the cloud."""
