"""Training the members of an ensemble, stopping and resuming."""
