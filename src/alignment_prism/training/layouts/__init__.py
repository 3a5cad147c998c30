"""Layouts: how examples become rows of tokens, and which attention reads them."""
