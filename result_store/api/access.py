"""Who may see what. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from result_store.errors import AccessRefusedError
from result_store.records import EVERYBODY, Scope
from result_store.settings import variable

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

__all__ = ["ANYBODY", "Caller", "check_service", "check_unbound", "narrowed", "of_user"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: what the rate is counted by and the log calls them; no secret.
        scope: whose requests they may see.
    """

    name: str
    service: str | None
    scope: Scope


ANYBODY = Caller("anybody", None, EVERYBODY)
"""Who asks where no keys are needed."""


def check_service(named: str | None, of_key: str, allowed: AbstractSet[str]) -> None:
    """Whether a service may ask with a key.

    Args:
        named: what ``X-Service-ID`` says; None: there is none.
        of_key: the key's service.
        allowed: the services that may ask; empty: every one that has a key.

    Raises:
        AccessRefusedError: it may not (403).
    """
    if named is None:
        raise _forbidden("X-Service-ID is missing: set it to the name of the service that the API key was made for.")
    if named != of_key:
        raise _forbidden(
            "X-Service-ID is not the service that the API key was made for: set it to that, or use a key of this service."
        )
    if allowed and named not in allowed:
        raise _forbidden(f"This service is not on the store's list: add it to {variable('services')}, at the store.")


def narrowed(scope: Scope, user_id: str | None, tenant_id: str | None) -> Scope:
    """What a key sees when it asks on behalf of a user or a tenant.

    Args:
        scope: the key's own.
        user_id: what ``X-User-ID`` says.
        tenant_id: what ``X-Tenant-ID`` says.

    Raises:
        AccessRefusedError: the key is another's, or the name is empty (403); an empty one must not mean everybody.
    """
    return Scope(
        _narrowed("X-User-ID", "user", scope.user_id, user_id),
        _narrowed("X-Tenant-ID", "tenant", scope.tenant_id, tenant_id),
    )


def of_user(scope: Scope, user_id: str) -> Scope:
    """What a caller sees of one user.

    Raises:
        AccessRefusedError: the caller may see another user alone (403).
    """
    if scope.user_id is not None and scope.user_id != user_id:
        raise _forbidden("These are another user's: ask for your own, or with a key that is not bound to a user.")
    return Scope(user_id, scope.tenant_id)


def check_unbound(scope: Scope) -> None:
    """Whether a caller may see what cannot be told to be anyone's.

    Raises:
        AccessRefusedError: the caller may see one user's or tenant's alone (403).
    """
    if scope != EVERYBODY:
        raise _forbidden(
            "Messages that could not be read belong to nobody: ask with a key that is bound to no user and no tenant, without "
            "X-User-ID and X-Tenant-ID."
        )


def _narrowed(header: str, what: str, own: str | None, asked: str | None) -> str | None:
    if asked is None:
        return own
    if not asked:
        raise _forbidden(f"{header} is empty: name a {what} in it, or leave it out.")
    if own is not None and own != asked:
        raise _forbidden(f"The API key is bound to another {what} than {header} names: leave the header out.")
    return asked


def _forbidden(message: str) -> AccessRefusedError:
    return AccessRefusedError(message, status=HTTPStatus.FORBIDDEN)
