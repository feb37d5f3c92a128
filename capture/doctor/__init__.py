"""What would spoil a recording, found before it starts."""
