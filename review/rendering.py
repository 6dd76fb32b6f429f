"""Templates, and what each of them is given."""

from pathlib import Path
from typing import Any

from fastapi import Request, Response
from fastapi.templating import Jinja2Templates
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

import oddlot
from review import wording
from review.reviewer import reviewer_of

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=select_autoescape(),
    undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
)  # fmt: skip
for _function in (
    wording.readable, wording.file_name, wording.folder_name, wording.count, wording.score, wording.p_value,
    wording.share, wording.day, wording.short_day, wording.moment, wording.line_name, wording.state_words,
):  # fmt: skip
    _environment.filters[_function.__name__] = _function
    _environment.globals[_function.__name__] = _function
_environment.globals["version"] = oddlot.__version__
_templates = Jinja2Templates(env=_environment)


def page(request: Request, template: str, *, status: int = 200, **values: Any) -> Response:
    """A page; every template knows the reviewer, what they may do, and the token of its forms."""
    shared = {
        "reviewer": reviewer_of(request),
        "token": request.state.visit.form_token,
        "may": request.state.visit.may,
        "can_sign_out": request.state.visit.can_sign_out,
        "has_users": request.state.visit.has_users,
        "here": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
    }
    return _templates.TemplateResponse(request, template, shared | values, status_code=status)
