"""What draws replies: transformers on this machine, Inspect for models behind an API."""
