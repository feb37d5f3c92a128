"""A recorder as a process, and the ways to command it: keys, socket, signals."""
