"""Data sets, their examples, and the sets of demonstrations drawn from them."""
