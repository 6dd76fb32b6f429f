"""Files in, arrays out: listing a folder, reading a picture, the fixed preprocessing of a model; heat maps
as files and sheets.

What may live here: everything that knows file formats and folders. What may not: networks, SQL, the queue. Trainer
and worker read through this one room, so that a picture is the same array in both.
"""
