"""The embedded light-adjustable game, and the true pairs that it can render.

What belongs here: everything that draws the game's picture (sky, clouds, terrain, aircraft, light,
exposure), its window and keys, and the client that drives it from another process. This is the
only package that imports panda3d, and importing it alone does not: ``options``, ``viewpoints`` and
``client`` need the standard library only.

What does not: grabbing the screen (``capture.screens.mss``) and anything about training.
"""
