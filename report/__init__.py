"""What is shown to people, as text: charts (SVG), the report of a job (one HTML file), and the records behind both.

What lives here: making something that can be read out of what `db` knows and `pictures` draws. What may not: a server,
the queue, the detector. Both the worker, which sends reports, and the review page, which shows the same, import it.
"""
