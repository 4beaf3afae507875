"""Experiments and what the README shows of them."""
