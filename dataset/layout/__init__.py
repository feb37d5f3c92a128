"""A data set on disk: its folders and files, and how they are read."""
