"""One file, one route."""
