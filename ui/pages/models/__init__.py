"""The Models page: the machine's memory, what is on disk, and one model's plan."""
