"""Qt item models over the app's records."""
