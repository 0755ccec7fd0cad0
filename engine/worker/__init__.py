"""The process that hosts one model, and the supervisor that keeps it."""
