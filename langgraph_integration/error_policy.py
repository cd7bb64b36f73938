"""What a worker's owner has to say about errors: which are worth another try, and whose messages may leave the worker.

Names are qualified, such as ``openai.RateLimitError``; a name stands for the class and for those derived from it. Nothing is
imported to compare them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from langgraph_integration.errors import RefusalError, WorkflowFailure
from langgraph_integration.graph_loading import load_object
from workflow_events.errors import ConfigurationError

__all__ = ["DEFAULT_POLICY", "ErrorPolicy", "Judge", "load_judge", "qualified_name", "split_names"]

Judge = Callable[[BaseException], bool | None]
"""Says of an error whether asking again may help; None leaves the decision to what comes next."""

# Their texts are this package's own or were written by a graph's author for the requester.
_SAFE: Final = (RefusalError, WorkflowFailure)
# Their texts are LangGraph's own, and hold names of nodes and channels and numbers.
_SAFE_NAMES: Final = frozenset(
    {
        "langgraph.errors.EmptyInputError",
        "langgraph.errors.GraphRecursionError",
        "langgraph.errors.NodeTimeoutError",
    }
)


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """The policy of one worker.

    Attributes:
        judge: is asked first.
        retryable: names of the classes worth another try; they win over the worker's own table.
        permanent: names of the classes that are not; they win over ``retryable``.
        redact: whether messages of classes that are not known safe stay in the worker.
        shown: names of the classes whose messages may leave the worker all the same.
    """

    judge: Judge | None = None
    retryable: frozenset[str] = frozenset()
    permanent: frozenset[str] = frozenset()
    redact: bool = False
    shown: frozenset[str] = frozenset()

    def verdict(self, error: BaseException) -> bool | None:
        """Whether asking again may help, as the owner sees it; None where they have not said.

        A judge that raises has not said.
        """
        if self.judge is not None:
            try:
                said = self.judge(error)
            except Exception:  # noqa: BLE001 - a broken judge must not cost the requester its answer
                said = None
            if isinstance(said, bool):
                return said
        names = _names(error)
        if names & self.permanent:
            return False
        return True if names & self.retryable else None

    def may_show(self, error: BaseException) -> bool:
        """Whether the error's message may leave the worker."""
        return not self.redact or isinstance(error, _SAFE) or bool(_names(error) & (_SAFE_NAMES | self.shown))


DEFAULT_POLICY: Final = ErrorPolicy()


def load_judge(reference: str | None, *, where: str) -> Judge | None:
    """The function at ``module:attribute`` or ``path/to/file.py:attribute``; None for None.

    Raises:
        ConfigurationError: there is no such thing, or it cannot be called.
    """
    if reference is None:
        return None
    found = load_object(reference, folder=Path.cwd(), where=where)
    if not callable(found):
        raise ConfigurationError(f"{where}: {reference!r} is a {type(found).__name__}, not a function of an exception")
    return found


def split_names(text: str | Iterable[str]) -> frozenset[str]:
    """Class names from a setting: separated by commas or spaces.

    Raises:
        ValueError: one is no qualified name.
    """
    names = text.replace(",", " ").split() if isinstance(text, str) else list(text)
    for name in names:
        if "." not in name or not all(part.isidentifier() for part in name.split(".")):
            raise ValueError(f"{name!r} is no qualified class name, such as openai.RateLimitError or builtins.OSError")
    return frozenset(names)


def qualified_name(kind: type) -> str:
    """The class's module and name."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _names(error: BaseException) -> frozenset[str]:
    return frozenset(map(qualified_name, type(error).__mro__))
