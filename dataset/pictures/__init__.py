"""Reading and writing pictures and video: limits, formats, depth, metadata."""
