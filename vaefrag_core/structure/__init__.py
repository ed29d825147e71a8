"""What the channels of an ensemble have in common."""
