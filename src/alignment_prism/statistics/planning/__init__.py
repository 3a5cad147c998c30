"""Planning: how many prompts, seeds, labels or looks a question needs."""
