"""Calls: one call of a model behind an API, with its endpoint, limits and journal."""
