"""The page on which a person looks at what was flagged, and the read-only HTTP interface beside it.

What lives here: the web application, its templates and its few scripts. What may not: statements in SQL (`db`), charts
and reports (`report`), scoring (`worker`). Nothing that it serves is fetched from elsewhere.
"""
