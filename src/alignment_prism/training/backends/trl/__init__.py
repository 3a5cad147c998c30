"""Training with TRL: the cross-check of our own losses, batches and references."""
