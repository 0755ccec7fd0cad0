"""GGUF files, read by our own bounded reader before libllama sees them."""
