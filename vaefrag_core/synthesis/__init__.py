"""What channels paint, alone and together."""
