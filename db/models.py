"""Models: one row a version; at most one version of a name is active."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select, update

from db.audit_log import Act, Actor, record
from db.engine import now, reading, writing
from db.schema import model
from oddlot.errors import NotFoundError, StateError
from oddlot.words import ModelState


@dataclass(frozen=True)
class ModelRow:
    """One version of a model; `bundle_uri` is relative to the model store unless it is absolute."""

    id: int
    name: str
    version: int
    state: ModelState
    architecture: str
    bundle_uri: str
    bundle_sha256: str
    threshold: float
    false_alarms: float
    card: dict[str, Any]
    created_at: datetime
    previous_id: int | None


def register_model(
    engine: Engine, *, name: str, bundle_uri: str, bundle_sha256: str, architecture: str, threshold: float,
    false_alarms: float, card: dict[str, Any], activate: bool = True,
) -> ModelRow:  # fmt: skip
    """Store a new version of `name` and make it the active one, or a candidate that changes nothing."""
    with writing(engine) as connection:
        _one_at_a_time(connection, name)
        highest = connection.execute(select(func.max(model.c.version)).where(model.c.name == name)).scalar()
        previous = _retire_active(connection, name) if activate else None
        state = ModelState.ACTIVE if activate else ModelState.CANDIDATE
        row = connection.execute(
            insert(model)
            .values(
                name=name, version=(highest or 0) + 1, state=state, architecture=architecture,
                bundle_uri=bundle_uri, bundle_sha256=bundle_sha256, threshold=threshold,
                false_alarms=false_alarms, card=card, created_at=now(connection), previous_id=previous,
            )
            .returning(model)
        ).one()  # fmt: skip
        return _row(row)


def reason_against(card: dict[str, Any]) -> str:
    """Why a fit did not want its model to become active, as its card says; empty where nothing spoke against it."""
    honesty = card.get("honesty")  # of a bundle that was carried here, it may be anything
    return str(honesty.get("reason", "")) if isinstance(honesty, dict) else ""


def list_models(engine: Engine, name: str | None = None, *, cards: bool = True) -> list[ModelRow]:
    """All versions, by name and version; of one name where it is given (empty where there is none).

    Without `cards`, which are most of what a model has in SQL, each `card` is empty.
    """
    query = select(*(column for column in model.c if cards or column is not model.c.card))
    query = query.order_by(model.c.name, model.c.version)
    if name is not None:
        query = query.where(model.c.name == name)
    with reading(engine) as connection:
        return [ModelRow(**({"card": {}} | dict(row._mapping))) for row in connection.execute(query)]


def get_model(engine: Engine, name: str, version: int | None = None) -> ModelRow:
    """That version, or the active one. Raises NotFoundError."""
    with reading(engine) as connection:
        return _find(connection, name, version)


def newest_candidate(engine: Engine, name: str) -> ModelRow | None:
    """The newest version of `name` that was never active, if it is newer than the active one."""
    with reading(engine) as connection:
        return _newest_candidate(connection, name)


def get_model_by_id(engine: Engine, model_id: int) -> ModelRow:
    """Raises NotFoundError."""
    with reading(engine) as connection:
        row = connection.execute(select(model).where(model.c.id == model_id)).one_or_none()
    if row is None:
        raise NotFoundError(f"there is no model with the number {model_id}")
    return _row(row)


def promote(engine: Engine, name: str, version: int, by: Actor | None = None) -> ModelRow:
    """Make a version the active one. Raises NotFoundError."""
    with writing(engine) as connection:
        _one_at_a_time(connection, name)
        chosen = _find(connection, name, version)
        if chosen.state == ModelState.ACTIVE:
            return chosen
        record(connection, by, Act.MODEL_PROMOTED, f"{name} {version}")
        return _activate(connection, chosen.id, previous=_retire_active(connection, name))


def rollback(engine: Engine, name: str, by: Actor | None = None) -> ModelRow:
    """Make the version active that was so before the active one.

    Raises NotFoundError for a name that is not there, StateError where nothing was active before.
    """
    with writing(engine) as connection:
        _one_at_a_time(connection, name)
        active = _find(connection, name, None)
        if active.previous_id is None:
            raise StateError(f"version {active.version} of {name} was the first: there is none to go back to")
        _retire_active(connection, name)
        record(connection, by, Act.MODEL_ROLLED_BACK, name, f"from version {active.version}")
        return _activate(connection, active.previous_id, previous=None)


def _one_at_a_time(connection: Connection, name: str) -> None:
    """Let nobody else change which version of `name` is active until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"model {name}"))))


def _activate(connection: Connection, model_id: int, *, previous: int | None) -> ModelRow:
    changes: dict[str, Any] = {"state": ModelState.ACTIVE}
    if previous is not None:  # a rollback leaves where the older version itself came from
        changes["previous_id"] = previous
    return _row(connection.execute(update(model).where(model.c.id == model_id).values(changes).returning(model)).one())


def _retire_active(connection: Connection, name: str) -> int | None:
    """The number of the model that was active, if one was."""
    return connection.execute(
        update(model)
        .where(model.c.name == name, model.c.state == ModelState.ACTIVE)
        .values(state=ModelState.RETIRED)
        .returning(model.c.id)
    ).scalar()


def _find(connection: Connection, name: str, version: int | None) -> ModelRow:
    wanted = model.c.state == ModelState.ACTIVE if version is None else model.c.version == version
    row = connection.execute(select(model).where(model.c.name == name, wanted)).one_or_none()
    if row is not None:
        return _row(row)
    if version is None and (candidate := _newest_candidate(connection, name)) is not None:
        raise NotFoundError(
            f"no version of {name} is active: version {candidate.version} is a candidate"
            f"{', because ' + reason if (reason := reason_against(candidate.card)) else ''}; make it active with "
            f"`oddlot models promote {name} {candidate.version}`"
        )
    names = connection.execute(select(model.c.name).distinct().order_by(model.c.name).limit(10)).scalars().all()
    if not names:
        raise NotFoundError(f"there is no model {name!r}, nor any other: learn one with `oddlot fit {name} GOOD_DIR`")
    if name not in names:
        raise NotFoundError(f"there is no model {name!r}: there are {', '.join(names)}")
    if version is None:
        raise NotFoundError(f"no version of {name} is active: choose one with `oddlot models promote {name} VERSION`")
    raise NotFoundError(f"there is no version {version} of {name}: `oddlot models list {name}` shows them")


def _newest_candidate(connection: Connection, name: str) -> ModelRow | None:
    newest = connection.execute(
        select(model)
        .where(model.c.name == name, model.c.state.in_([ModelState.ACTIVE, ModelState.CANDIDATE]))
        .order_by(model.c.version.desc())
        .limit(1)
    ).one_or_none()
    return _row(newest) if newest is not None and newest.state == ModelState.CANDIDATE else None


def _row(row: Row[Any]) -> ModelRow:
    return ModelRow(**row._mapping)
