"""Scores by rule: what can be said of a reply without asking anybody."""
