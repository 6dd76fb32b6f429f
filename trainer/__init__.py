"""The fit job: a folder of good pictures in, a bundle in the model store and a row in the database out.

What lives here: the training set, its split, the fit and its card, and the queue's side of `oddlot fit --queue`.
What may not: scoring jobs (that is `worker`) and the mathematics of the detector (that is `ganomaly`).
"""
