"""From a game's window to frames on disk. Imports ``dataset``, never ``model`` and never torch."""
