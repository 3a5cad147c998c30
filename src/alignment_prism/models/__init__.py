"""Models: what a model's name stands for, its folder, weights and chat template."""
