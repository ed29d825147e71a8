"""The `vaefrag` command and the pages that show what the core computed."""
