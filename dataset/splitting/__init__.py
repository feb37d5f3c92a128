"""From labelled sessions to a data set whose two sides share no scene."""
