"""Which role each address needs. One that does not stand here is not served: `make_app` refuses to begin."""

from collections.abc import Sequence
from typing import Any

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount, compile_path

from oddlot.words import Role

OPEN = None
"""Needs nobody: what one must see before one is let in."""
_V, _R, _A = Role.VIEWER, Role.REVIEWER, Role.ADMIN
NEEDED: dict[tuple[str, str], Role | None] = {
    ("GET", "/static/charts.css"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("HEAD", "/healthz"): OPEN,
    ("GET", "/metrics"): _V,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/logout"): _V,
    ("GET", "/name"): _V,
    ("POST", "/name"): _V,
    ("GET", "/password"): _V,
    ("POST", "/password"): _V,
    ("GET", "/"): _V,
    ("GET", "/flagged"): _V,
    ("GET", "/jobs/{job_id}"): _V,
    ("GET", "/jobs/{job_id}/report.html"): _V,
    ("POST", "/jobs/{job_id}/{word}"): _R,
    ("GET", "/queue"): _R,
    ("GET", "/queue/next"): _R,
    ("GET", "/items/{item_id}"): _V,
    ("GET", "/items/{item_id}/thumb.webp"): _V,
    ("GET", "/items/{item_id}/picture.webp"): _V,
    ("GET", "/items/{item_id}/large.webp"): _V,
    ("GET", "/items/{item_id}/heat.webp"): _V,
    ("GET", "/items/{item_id}/nearest.webp"): _V,
    ("POST", "/items/{item_id}/verdict"): _R,
    ("POST", "/items/{item_id}/verdicts/{verdict_id}/undo"): _R,
    ("GET", "/quality"): _V,
    ("GET", "/models"): _V,
    ("GET", "/models/{name}"): _V,
    ("POST", "/models/{name}/threshold"): _A,
    ("POST", "/models/{name}/{version}/compare"): _A,
    ("POST", "/models/{name}/{version}/promote"): _A,
    ("POST", "/models/{name}/rollback"): _A,
    ("POST", "/models/{name}/learn"): _A,
    ("GET", "/users"): _A,
    ("POST", "/users"): _A,
    ("POST", "/users/role"): _A,
    ("POST", "/users/password"): _A,
    ("POST", "/users/remove"): _A,
    ("POST", "/users/restore"): _A,
    ("POST", "/tokens"): _A,
    ("POST", "/tokens/revoke"): _A,
    ("GET", "/api/v1/jobs"): _V,
    ("GET", "/api/v1/jobs/{job_id}"): _V,
    ("GET", "/api/v1/jobs/{job_id}/results"): _V,
    ("GET", "/api/v1/flagged"): _V,
    ("GET", "/api/v1/results"): _V,
    ("GET", "/api/v1/items/{item_id}"): _V,
    ("GET", "/api/v1/models"): _V,
    ("GET", "/api/v1/models/{name}/{version}"): _V,
    ("GET", "/api/v1/nights"): _V,
    ("GET", "/api/v1/openapi.json"): _V,
}  # fmt: skip
MOUNTS = {"/static"}
"""Folders of files that are open to everybody."""


class Roles:
    """The role that a request needs, found as the application will find its route."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        """Raises RuntimeError where a route has no role."""
        self._rules = [(compile_path(path)[0], method, NEEDED[method, path]) for method, path in served(routes)]

    def needed(self, method: str, path: str) -> Role | None:
        """The highest of all that fit; what is not there at all is told to those who may look."""
        found = [role for pattern, of, role in self._rules if of == method and pattern.match(path)]
        if not found:
            return Role.VIEWER
        known = [role for role in found if role is not None]
        return max(known, key=list(Role).index) if known else OPEN


def served(routes: Sequence[BaseRoute]) -> list[tuple[str, str]]:
    """Method and address of all that an application serves but its open files.

    Raises RuntimeError where one of them stands not in NEEDED.
    """
    found: list[tuple[str, str]] = []
    contexts: Any = iter_route_contexts(routes)
    for one in contexts:
        if isinstance(getattr(one, "original_route", one), Mount) and one.path in MOUNTS:
            continue
        if not one.methods:
            raise RuntimeError(f"{one.path} is neither an address with methods nor one of MOUNTS in review/roles.py")
        found += [(method, one.path) for method in sorted(one.methods)]
    missing = [f"{method} {path}" for method, path in found if (method, path) not in NEEDED]
    if missing:
        raise RuntimeError(f"say in review/roles.py which role this needs: {', '.join(missing)}")
    return found
