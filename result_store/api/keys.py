"""The API keys in the database: made, listed, revoked, and looked up by who asks.

A service may have several keys at a time, so that one can be replaced without a gap: make the new one, give it to the service,
revoke the old one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select, update

from result_store.api.key_text import digest, is_right, new_key, parse_key
from result_store.api.own_tables import OwnTables
from result_store.database.tables import api_keys
from result_store.errors import AccessRefusedError, DatabaseError
from result_store.records import Scope
from workflow_events.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Row
    from sqlalchemy.ext.asyncio import AsyncEngine

__all__ = ["KEY_TRUST_SECONDS", "ApiKey", "ApiKeys"]

log = logging.getLogger(__name__)

KEY_TRUST_SECONDS: Final = 2.0
"""How long a key that was looked up is taken for what it was then. A key that another process revokes may work for so long."""
_LOOK_AGAIN_SECONDS: Final = 1.0
"""After how long a key that is in use is looked up again, without keeping who asks with it waiting."""
_MOST_REMEMBERED: Final = 1000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key; its secret is not.

    Attributes:
        user_id: the key sees this user's requests alone; None: everybody's.
        tenant_id: likewise.
    """

    key_id: str
    service: str
    user_id: str | None
    tenant_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def scope(self) -> Scope:
        """Whose requests it may see."""
        return Scope(self.user_id, self.tenant_id)

    def is_in_force(self, now: datetime) -> bool:
        """Whether it has neither been revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def check(self, now: datetime) -> None:
        """Whether it is in force.

        Raises:
            AccessRefusedError: it is not any more (401).
        """
        if self.revoked_at is not None:
            raise _refused(
                "The API key has been revoked: use the one that has taken its place, or have a new one made."
            )
        if not self.is_in_force(now):
            raise _refused("The API key has expired: have a new one made with `result-store keys create`.")


class ApiKeys:
    """The keys of one store.

    Args:
        engine: the database's.
        now: the time, for tests.
    """

    def __init__(self, engine: AsyncEngine, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._tables = OwnTables(engine)
        self._now = now
        self._known: OrderedDict[str, tuple[float, ApiKey, str]] = OrderedDict()
        self._looking: dict[str, asyncio.Task[object]] = {}
        self._revocations = 0

    async def create(
        self,
        service: str,
        user_id: str | None = None,
        tenant_id: str | None = None,
        expires_at: datetime | None = None,
    ) -> str:
        """Make a key, and return its text, which is kept nowhere: whoever asked for it must keep it.

        Args:
            service: who it is for, as ``X-Service-ID`` will say.
            user_id: it sees this user's requests alone; None: everybody's.
            tenant_id: likewise.
            expires_at: an aware time from which on it holds no more; None: it holds until it is revoked.

        Raises:
            ConfigurationError: a name cannot stand in a header, or the key would have expired already.
            DatabaseError: the database refuses.
        """
        _check_name("service", service)
        if not service.isascii() or "," in service:
            raise ConfigurationError(f"The service {service!r} must be named in ASCII, without commas.")
        for what, name in (("user", user_id), ("tenant", tenant_id)):
            if name is not None:
                _check_name(what, name)
        now = self._now()
        if expires_at is not None and expires_at <= now:
            raise ConfigurationError(f"The key would have expired at {expires_at.isoformat()}: name a later time.")
        key = new_key()
        row = {
            "key_id": key.key_id,
            "service": service,
            "user_id": user_id,
            "tenant_id": tenant_id,
            "hash": digest(key.secret),
            "created_at": now,
            "expires_at": expires_at,
        }
        await self._tables.write(insert(api_keys).values(row))
        return str(key)

    async def list(self) -> list[ApiKey]:
        """All keys that were ever made, the oldest first.

        Raises:
            DatabaseError: the database refuses.
        """
        query = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)
        return [_key_of(row) for row in await self._tables.read(query)]

    async def revoke(self, key_id: str) -> bool:
        """Take a key back, and with it the sign-ins at the page that were made with it.

        Returns:
            False where there is no key with that id, or it was revoked before.

        Raises:
            DatabaseError: the database refuses.
        """
        statement = (
            update(api_keys)
            .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
            .values(revoked_at=self._now())
        )
        changed = await self._tables.write(statement)
        self._revocations += 1
        self._known.pop(key_id, None)
        return changed > 0

    async def close(self) -> None:
        """End what looks keys up, before the engine is disposed of."""
        looking = [*self._looking.values()]
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)

    async def verify(self, text: str | None) -> ApiKey:
        """The key that a caller has sent, in force.

        Raises:
            AccessRefusedError: it is none of ours, or not in force any more (401).
            DatabaseError: the database refuses.
        """
        key = parse_key(text or "")
        found = await self._find(key.key_id)
        right = is_right(key, None if found is None else found[1])
        if not right or found is None:
            # The same words whether its id or its secret is wrong: which ids there are is nobody's business.
            raise _refused(
                "There is no API key in X-Internal-API-Key, or it is not one of this store's: send one that was made with "
                "`result-store keys create`."
            )
        found[0].check(self._now())
        return found[0]

    async def by_id(self, key_id: str) -> ApiKey | None:
        """A key that has been verified before, as it is now.

        Raises:
            DatabaseError: the database refuses.
        """
        found = await self._find(key_id)
        return None if found is None else found[0]

    async def _find(self, key_id: str) -> tuple[ApiKey, str] | None:
        known = self._known.get(key_id)
        age = math.inf if known is None else time.monotonic() - known[0]
        if known is None or age >= KEY_TRUST_SECONDS:
            return await self._look_up(key_id)
        if age >= _LOOK_AGAIN_SECONDS and key_id not in self._looking:
            task = self._looking[key_id] = asyncio.create_task(self._look_again(key_id))
            task.add_done_callback(lambda _: self._looking.pop(key_id, None))
        return known[1:]

    async def _look_again(self, key_id: str) -> None:
        try:
            await self._look_up(key_id)
        except DatabaseError as error:
            # Nobody waits for this. Once the key is too old to be trusted, who asks with it is told.
            log.debug("An API key could not be looked up again: %s", error)

    async def _look_up(self, key_id: str) -> tuple[ApiKey, str] | None:
        now, revocations = time.monotonic(), self._revocations
        rows = await self._tables.read(select(api_keys).where(api_keys.c.key_id == key_id))
        if not rows:
            self._known.pop(key_id, None)
            return None  # not remembered: there is no end of keys that are none
        row = rows[0]
        found = (_key_of(row), str(row.hash))
        if revocations == self._revocations:  # else this may be the row as it was before
            self._known[key_id] = (now, *found)
            self._known.move_to_end(key_id)
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return found


def _key_of(row: Row[tuple[object, ...]]) -> ApiKey:
    return ApiKey(row.key_id, row.service, row.user_id, row.tenant_id, row.created_at, row.expires_at, row.revoked_at)


def _check_name(what: str, name: str) -> None:
    if not name.strip() or name != name.strip() or not name.isprintable():
        raise ConfigurationError(
            f"The {what} {name!r} cannot stand in a header: name it in printable characters, with none but them at its ends."
        )


def _refused(message: str) -> AccessRefusedError:
    return AccessRefusedError(message, status=HTTPStatus.UNAUTHORIZED)
