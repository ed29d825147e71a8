"""Style, scripts and icons of the pages."""
