"""Ground floor of the house: the words, the settings and the errors that every room shares.

What may live here: names, plain values and small pure functions. What may not: pictures, networks, SQL or the
queue. Nothing here imports another room.
"""

__version__ = "0.2.0"
