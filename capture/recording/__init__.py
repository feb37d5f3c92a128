"""From pictures of a screen to a session on disk, each interval accounted for."""
