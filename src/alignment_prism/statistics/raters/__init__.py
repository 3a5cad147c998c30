"""Raters: agreement, annotators' error, and a judge's error taken out of rates."""
