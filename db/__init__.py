"""The truth about models, jobs, batches, items, results and verdicts.

What lives here: the schema, its migrations, and every statement that reads or changes it, each rule of a job's life
inside the transaction that it needs. What may not: pictures, networks, the queue, the command line.

Lock order on PostgreSQL, so that nobody waits in a circle: a batch first, its job after it. On SQLite a write holds
the one write lock from its first statement (BEGIN IMMEDIATE).
"""
