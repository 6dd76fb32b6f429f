"""Views for people with a tool of their own. They belong to the program and not to one migration: each upgrade makes
them anew, after the tables are what they are now (docs/decisions/0021-interface-views-exports.md)."""

from sqlalchemy import Connection

SINCE = "0005"
"""The first version of the database that has them."""

_FLAGGED_ITEMS = """
SELECT item.id AS item_id,
       item.job_id AS job_id,
       job.state AS job_state,
       item.path AS path,
       item.sha256 AS sha256,
       job.line AS line,
       job.lot AS lot,
       job.night AS night,
       model.name AS model,
       model.version AS model_version,
       result.raw_score AS raw_score,
       model.threshold AS threshold,
       result.score AS score,
       result.p_value AS p_value,
       result.scored_at AS scored_at,
       said.verdict AS verdict,
       said.kind AS kind,
       said.note AS note,
       said.reviewer AS reviewer,
       said.at AS reviewed_at
FROM result
JOIN item ON item.id = result.item_id
JOIN job ON job.id = item.job_id
JOIN model ON model.id = result.model_id
LEFT JOIN verdict AS said
       ON said.id = (SELECT max(latest.id) FROM verdict AS latest WHERE latest.item_id = item.id)
WHERE result.flagged
"""

# LEFT JOIN below is for SQLite alone: it then begins with the verdicts, which are few, and not with all items.
# The completeness record of a finished job stands in its row and stays when the results are pruned; of an open one it
# is counted now. Verdicts are counted by item and not by result, for the same reason.
_OF_OPEN = "(SELECT count(*) FROM item WHERE item.job_id = job.id AND item.state = '{state}')"
_COUNT = "CASE WHEN job.finished_at IS NULL THEN {open} ELSE job.{name} END AS {name}"
_COUNTS = ",\n           ".join(
    [
        _COUNT.format(name=state, open=_OF_OPEN.format(state=state))
        for state in ("scored", "unreadable", "quarantined", "cancelled")
    ]
    + [
        _COUNT.format(
            name="flagged", open="(SELECT count(*) FROM result WHERE result.job_id = job.id AND result.flagged)"
        )
    ]
)
_NIGHTLY_SUMMARY = f"""
SELECT counted.night AS night,
       counted.line AS line,
       model.name AS model,
       model.version AS model_version,
       CAST(count(*) AS BIGINT) AS jobs,
       CAST(sum(counted.listed) AS BIGINT) AS listed,
       CAST(sum(counted.scored) AS BIGINT) AS scored,
       CAST(sum(counted.flagged) AS BIGINT) AS flagged,
       CAST(sum(counted.unreadable) AS BIGINT) AS unreadable,
       CAST(sum(counted.quarantined) AS BIGINT) AS quarantined,
       CAST(sum(counted.cancelled) AS BIGINT) AS cancelled,
       CAST(sum(counted.listed - counted.scored - counted.unreadable - counted.quarantined - counted.cancelled)
            AS BIGINT) AS unaccounted,
       CAST(sum(CASE WHEN counted.state = 'held' THEN 1 ELSE 0 END) AS BIGINT) AS held,
       CAST(sum(CASE WHEN counted.state = 'discarded' THEN 1 ELSE 0 END) AS BIGINT) AS discarded,
       CAST(sum(CASE WHEN counted.pruned_at IS NULL THEN 0 ELSE 1 END) AS BIGINT) AS pruned,
       CAST(sum(coalesce(said.reviewed, 0)) AS BIGINT) AS reviewed,
       CAST(sum(coalesce(said.defects, 0)) AS BIGINT) AS confirmed_defects
FROM (
    SELECT job.id AS id, job.model_id AS model_id, job.night AS night, job.line AS line, job.state AS state,
           job.listed AS listed, job.pruned_at AS pruned_at,
           {_COUNTS}
    FROM job
) AS counted
JOIN model ON model.id = counted.model_id
LEFT JOIN (
    SELECT item.job_id AS job_id, count(*) AS reviewed,
           sum(CASE WHEN verdict.verdict = 'defect' THEN 1 ELSE 0 END) AS defects
    FROM verdict
    LEFT JOIN item ON item.id = verdict.item_id
    WHERE verdict.id = (SELECT max(latest.id) FROM verdict AS latest WHERE latest.item_id = verdict.item_id)
    GROUP BY item.job_id
) AS said ON said.job_id = counted.id
GROUP BY counted.night, counted.line, model.name, model.version
"""

VIEWS = {"flagged_items": _FLAGGED_ITEMS, "nightly_summary": _NIGHTLY_SUMMARY}
"""Name and query of each; docs/queries.md describes their columns."""


def drop_views(connection: Connection) -> None:
    """Before tables are changed: neither engine alters a table, or drops one, on which a view looks."""
    for name in VIEWS:
        connection.exec_driver_sql(f"DROP VIEW IF EXISTS {name}")


def create_views(connection: Connection) -> None:
    """On tables that are those of this program."""
    for name, query in VIEWS.items():
        connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
