"""States of arms put into the anchor's run: which, and what is measured of the answers. To add one: a function, a row.

Nothing here imports the lists of arms, contrasts or measures: a row more in these patches nothing anew.
"""
