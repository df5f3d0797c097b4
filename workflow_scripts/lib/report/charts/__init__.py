"""One module a figure, or two that belong together: each a function from rows of a tidy table to a chart."""
