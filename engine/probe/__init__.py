"""Short-lived children that ask llama.cpp and the drivers what only they know."""
