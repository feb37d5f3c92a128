"""How good restored pictures are: on true pairs, and without them."""
