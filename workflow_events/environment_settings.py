"""Settings that are read once, from the environment, ``.env`` or keyword arguments; and what is said where they do not hold."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["EnvironmentSettings"]


class EnvironmentSettings(BaseSettings):
    """Each field is read from the environment as its name in capitals behind the class's ``env_prefix``.

    Raises:
        ConfigurationError: a value does not hold; the message names the variables and shows no secret.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_file=".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    what: ClassVar[str]
    """Names these settings in errors, such as ``the worker's settings``."""

    # Hidden from type checkers, which know the fields from the class body.
    if not TYPE_CHECKING:

        def __init__(self, **values: Any) -> None:
            _refuse_unknown(type(self).__name__, values, type(self).model_fields)
            problem = None
            try:
                super().__init__(**values)
            except ValidationError as error:
                problem = self._explained(error)
            # Raised outside the handler: the validation error holds the input, and with it the secrets.
            if problem is not None:
                raise ConfigurationError(problem)

    @classmethod
    def _explained(cls, error: ValidationError) -> str:
        prefix = cls.model_config.get("env_prefix", "")
        problems = []
        for problem in error.errors(include_url=False, include_input=False):
            message = problem["msg"].removeprefix("Value error, ")
            name = str(problem["loc"][0]) if problem["loc"] else None
            problems.append(f"{prefix}{name.upper()} ({name}): {message}" if name else message)
        return f"{cls.what[0].upper()}{cls.what[1:]} do not hold: {'; '.join(problems)}."


def _refuse_unknown(settings: str, values: Mapping[str, object], known: Mapping[str, object]) -> None:
    unknown = [name for name in values if name not in known and not name.startswith("_")]
    if not unknown:
        return
    hints = [
        f"{name!r}" + (f" (did you mean {near[0]!r}?)" if (near := difflib.get_close_matches(name, known, 1)) else "")
        for name in unknown
    ]
    raise ConfigurationError(f"{settings} has no setting {' and no '.join(hints)}.")
