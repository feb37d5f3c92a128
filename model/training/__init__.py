"""From a data set to a trained network: the loop and what it reads and writes."""
