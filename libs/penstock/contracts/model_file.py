"""A YAML file → its model, or what is wrong with the file, in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from penstock import yaml_text
from penstock.contracts.model_violation import violation

M = TypeVar("M", bound=BaseModel)


def read_model(path: Path, model: type[M]) -> M:
    """The model of a file; an empty file is one without members.

    Raises OSError, and ValueError with a sentence for whoever wrote the file.
    """
    value: Any = None
    try:
        value = yaml_text.read(path) or {}
        return model.model_validate(value)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError("it is not YAML" + (f" at line {mark.line + 1}" if mark else "")) from None
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except ValidationError as error:
        sentence, _ = violation(error.errors(include_url=False, include_input=False), value, whole="the file")
        raise ValueError(sentence) from None
