"""The SQLite store and its single writer."""
