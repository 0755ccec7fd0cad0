"""llama.cpp through its low-level API. Imported only by workers and probes, never by the app's process."""
