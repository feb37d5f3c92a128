"""The page of `cli review`: look through frames and label them."""
