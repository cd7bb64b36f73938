"""What can go wrong in the store, below the one error tree of the SDK.

::

    WorkflowEventsError
    └── ResultStoreError
        ├── WiringError                             a part cannot be built; names it, who needs it, and what to set
        ├── DatabaseError              .retryable   the database refuses or cannot be reached
        │   └── SchemaVersionError                  it has another schema than this version needs
        ├── InvalidCursorError                      a page was asked for by a cursor that is none of ours
        ├── UnstorableError                         the database will never take this row
        ├── ArchiveError               .retryable   the object store refuses or cannot be reached
        ├── AnalyticsError             .retryable   ClickHouse refuses or cannot be reached
        ├── AccessRefusedError         .status      a caller of the API may not do this
        └── LiveFeedError                           live events are not to be had now
"""

from __future__ import annotations

from workflow_events.errors import WorkflowEventsError

__all__ = [
    "AccessRefusedError",
    "AnalyticsError",
    "ArchiveError",
    "DatabaseError",
    "InvalidCursorError",
    "LiveFeedError",
    "ResultStoreError",
    "SchemaVersionError",
    "UnstorableError",
    "WiringError",
]


class ResultStoreError(WorkflowEventsError):
    """Something that the result store needs does not do its part."""


class WiringError(ResultStoreError):
    """A part of the store cannot be built. The message names the part, who needs it through which chain, and what to set."""


class DatabaseError(ResultStoreError):
    """The database refuses, or cannot be reached.

    Attributes:
        retryable: whether trying again may help.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class SchemaVersionError(DatabaseError):
    """The database has another schema than this version of the store needs; the message says which command mends it."""


class InvalidCursorError(ResultStoreError):
    """A page was asked for by a cursor that is none of ours; the first page is asked for without one."""


class UnstorableError(ResultStoreError):
    """The database will not take what is in a message, however often it is tried: the message is poison."""


class ArchiveError(ResultStoreError):
    """The archive's object store refuses, or cannot be reached.

    Attributes:
        retryable: whether trying again may help.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class AnalyticsError(ResultStoreError):
    """ClickHouse refuses, or cannot be reached.

    Attributes:
        retryable: whether trying again may help.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class AccessRefusedError(ResultStoreError):
    """A caller of the API may not do this.

    Attributes:
        status: the HTTP status to answer with: 401, 403 or 429.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class LiveFeedError(ResultStoreError):
    """Live events are not to be had now; the message says why."""
