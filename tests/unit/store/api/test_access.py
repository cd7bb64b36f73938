"""Whose requests a caller may see."""

from __future__ import annotations

import pytest

from result_store.api.access import check_service, check_unbound, narrowed, of_user
from result_store.errors import AccessRefusedError
from result_store.records import EVERYBODY, Scope


def test_a_key_of_everybodys_is_narrowed_to_the_user_it_asks_for() -> None:
    assert narrowed(EVERYBODY, "ada", None) == Scope("ada", None)
    assert narrowed(EVERYBODY, None, "acme") == Scope(None, "acme")
    assert narrowed(EVERYBODY, None, None) == EVERYBODY


def test_a_bound_key_stays_bound_whether_or_not_its_user_is_named() -> None:
    bound = Scope("ada", "acme")
    assert narrowed(bound, None, None) == bound
    assert narrowed(bound, "ada", "acme") == bound


@pytest.mark.parametrize(
    "user_id, tenant_id, said",
    [("bob", None, "another user"), (None, "other", "another tenant"), ("", None, "empty"), (None, "", "empty")],
)
def test_a_foreign_or_empty_name_is_refused(user_id: str | None, tenant_id: str | None, said: str) -> None:
    with pytest.raises(AccessRefusedError, match=said) as refused:
        narrowed(Scope("ada", "acme"), user_id, tenant_id)
    assert refused.value.status == 403


def test_an_empty_user_does_not_mean_everybody() -> None:
    with pytest.raises(AccessRefusedError, match="X-User-ID is empty"):
        narrowed(EVERYBODY, "", None)


def test_another_users_list_is_refused_and_ones_own_keeps_the_tenant() -> None:
    with pytest.raises(AccessRefusedError) as refused:
        of_user(Scope("ada"), "bob")
    assert refused.value.status == 403
    assert of_user(Scope(None, "acme"), "bob") == Scope("bob", "acme")


@pytest.mark.parametrize("scope", [Scope("ada"), Scope(None, "acme")])
def test_what_belongs_to_nobody_is_not_for_those_who_are_bound(scope: Scope) -> None:
    with pytest.raises(AccessRefusedError):
        check_unbound(scope)
    check_unbound(EVERYBODY)


@pytest.mark.parametrize(
    "named, allowed, said",
    [(None, (), "missing"), ("other", (), "not the service"), ("mine", ("theirs",), "not on the store's list")],
)
def test_a_service_must_be_the_keys_and_on_the_list(named: str | None, allowed: tuple[str, ...], said: str) -> None:
    with pytest.raises(AccessRefusedError, match=said) as refused:
        check_service(named, "mine", frozenset(allowed))
    assert refused.value.status == 403
    check_service("mine", "mine", frozenset())
    check_service("mine", "mine", frozenset({"mine", "theirs"}))
