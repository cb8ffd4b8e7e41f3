"""Restore swapped faces."""
