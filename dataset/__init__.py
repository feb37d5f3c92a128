"""From recorded frames to a data set: manifest, statistics, labels, groups, split.

Imports neither ``capture`` nor ``model``; both import this.
"""
