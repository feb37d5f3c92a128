"""X, Y, unsure or drop for each frame: statistics, rules, labels by hand."""
