"""One module or folder a page of the rail."""
