"""Sign-ins at the page: a browser cannot send a key with each request, so it changes one for a cookie."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, insert, select

from result_store.api.own_tables import OwnTables
from result_store.database.tables import page_sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.ext.asyncio import AsyncEngine
    from starlette.requests import HTTPConnection
    from starlette.responses import Response

    from result_store.api.keys import ApiKey, ApiKeys

__all__ = ["COOKIE", "Sessions"]

COOKIE: Final = "result_store_session"
_TOKEN_BYTES: Final = 32
_LONGEST_TOKEN: Final = 100


class Sessions:
    """The sign-ins of one store. At rest there is a token's SHA-256 alone.

    Args:
        engine: the database's.
        keys: who may sign in.
        lifetime: seconds that a sign-in lasts.
        now: the time, for tests.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        keys: ApiKeys,
        lifetime: float,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._tables = OwnTables(engine)
        self._keys = keys
        self._lifetime = timedelta(seconds=lifetime)
        self._now = now

    async def sign_in(self, key_text: str) -> str:
        """Change an API key for a token, which :meth:`give` puts into a cookie.

        Raises:
            AccessRefusedError: the key is none of ours, or not in force any more (401).
            DatabaseError: the database refuses.
        """
        key = await self._keys.verify(key_text)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        now = self._now()
        row = {
            "token_hash": _digest(token),
            "key_id": key.key_id,
            "created_at": now,
            "expires_at": now + self._lifetime,
        }
        await self._tables.write(
            delete(page_sessions).where(page_sessions.c.expires_at <= now), insert(page_sessions).values(row)
        )
        return token

    async def sign_out(self, token: str) -> None:
        """End a sign-in; does nothing for one that has ended.

        Raises:
            DatabaseError: the database refuses.
        """
        await self._tables.write(delete(page_sessions).where(page_sessions.c.token_hash == _digest(token)))

    async def key_of(self, token: str) -> ApiKey | None:
        """The key that somebody has signed in with; None where the sign-in has ended, or the key is not in force any more.

        Raises:
            DatabaseError: the database refuses.
        """
        if len(token) > _LONGEST_TOKEN:
            return None
        # Found by its digest: how long the database takes to compare digests tells nothing of a token.
        query = select(page_sessions.c.key_id).where(
            page_sessions.c.token_hash == _digest(token), page_sessions.c.expires_at > self._now()
        )
        rows = await self._tables.read(query)
        key = await self._keys.by_id(rows[0].key_id) if rows else None
        return key if key is not None and key.is_in_force(self._now()) else None

    def give(self, token: str, response: Response, request: HTTPConnection) -> None:
        """Put a token into the browser's cookie: out of reach of scripts, and of other sites' links and forms."""
        # What a proxy says of itself is believed here alone: who lies about it harms nobody's cookie but their own.
        forwarded = request.headers.get("X-Forwarded-Proto")
        response.set_cookie(
            COOKIE,
            token,
            max_age=int(self._lifetime.total_seconds()),
            httponly=True,
            samesite="strict",
            secure="https" in {request.url.scheme, forwarded},
        )

    def take(self, response: Response) -> None:
        """Remove the browser's cookie."""
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()
