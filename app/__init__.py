"""The product without a window: conversations, models, the store and the command line. Never imports Qt."""
