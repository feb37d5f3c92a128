"""Recorded frames and what is known of them; pictures and videos imported as such."""
