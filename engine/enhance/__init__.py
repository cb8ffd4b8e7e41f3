"""Swapped faces made better: sharper, cleaner, of one piece."""
