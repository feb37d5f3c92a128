"""The network that comes with the package, as two files."""
