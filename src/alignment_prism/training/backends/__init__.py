"""What runs the optimiser: transformers' Trainer, or TRL's."""
