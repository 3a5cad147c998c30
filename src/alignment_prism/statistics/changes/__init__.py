"""Changes: paired differences and ratios, over clusters, orders and seeds."""
