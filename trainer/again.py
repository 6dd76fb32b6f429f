"""A fit like one that was: the options that the card of its model keeps."""

from dataclasses import fields

from db.models import ModelRow
from oddlot.errors import OddlotError, StateError
from trainer.fit import FitOptions, check_options


def learnt_from(model: ModelRow) -> str | None:
    """The folder or address that the model learnt from; None where its card, which was perhaps carried here, does not
    say it."""
    options = model.card.get("options") if isinstance(model.card, dict) else None
    folder = options.get("good_dir") if isinstance(options, dict) else None
    return folder if isinstance(folder, str) and folder else None


def options_of(model: ModelRow) -> FitOptions:
    """The options of the model's fit. Raises StateError where its card does not hold any that could be used again."""
    if learnt_from(model) is None:
        raise StateError(
            f"the card of {model.name} does not say which folder it learnt from: oddlot fit {model.name} GOOD_DIR "
            "--from-verdicts"
        )
    known = {field.name for field in fields(FitOptions)}
    kept = {key: value for key, value in model.card["options"].items() if key in known}
    try:
        options = FitOptions(**kept | {"name": model.name, "force": False, "candidate": False})
        check_options(options)
    except (OddlotError, TypeError, ValueError) as error:
        raise StateError(f"the card of {model.name} holds options that cannot be used again: {error}") from error
    return options
