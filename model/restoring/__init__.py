"""From an over-exposed picture to a restored one, by a network or by older methods."""
