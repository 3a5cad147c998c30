"""The base of the nano lab: its tokenizer, its training from scratch, its criteria, and the weights that ship."""
