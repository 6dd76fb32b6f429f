"""The Celery application: image-batch jobs from the queue, results into the database.

What lives here: submitting a folder as a job, inspecting one batch, the sweeper that puts back what nobody holds,
the embedded broker. What may not: training, drawing pages, deciding what is true about a job (that is `db`).
Importing `worker.app` must not import TensorFlow: a parent that has it hangs every child that it forks.
"""
