"""A server that runs while a ``with`` block lasts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

__all__ = ["ServerContext"]


class ServerContext(ABC):
    """Starts on entering and is closed on leaving, also where the start fails halfway."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def start(self) -> None:
        """Start, and wait until it answers."""

    @abstractmethod
    def close(self) -> None:
        """End it, however far it had come, and remove what it made."""
