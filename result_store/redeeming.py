"""The payloads of large messages, which travel by reference: the store keeps the payload, for the reference does not last."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from result_store.batches import Taken
from result_store.facts import RequestFact, ResultFact
from result_store.reading import UNREDEEMED, invalid
from workflow_events.errors import ClaimCheckError
from workflow_events.wire import encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workflow_events.payloads import Payloads

__all__ = ["redeem"]

_AT_ONCE: Final = 8
"""Payloads that are fetched at a time."""


async def redeem(taken: Sequence[Taken], payloads: Payloads) -> list[Taken]:
    """The same messages, with the payloads in their places.

    One whose payload cannot be had, now or later, stays as it is, for what it says besides is true; and an
    :class:`~result_store.facts.InvalidFact` beside it says what is missing.

    Raises:
        ObjectStoreError: the store does not answer; it may later.
        AccessDeniedError: the store does not let us read.
        ConfigurationError: the store cannot be opened.
    """
    if not any(_refers(one) for one in taken):
        return list(taken)
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(found: Taken) -> list[Taken]:
        if not _refers(found):
            return [found]
        async with slots:
            return await _redeemed(found, payloads)

    fetching = [asyncio.ensure_future(one(found)) for found in taken]
    try:
        return [found for some in await asyncio.gather(*fetching) for found in some]
    except BaseException:
        for fetch in fetching:
            fetch.cancel()
        await asyncio.gather(*fetching, return_exceptions=True)
        raise


def _refers(found: Taken) -> bool:
    return isinstance(found.fact, RequestFact | ResultFact) and found.fact.event.claim_check is not None


async def _redeemed(found: Taken, payloads: Payloads) -> list[Taken]:
    fact = found.fact
    try:
        if isinstance(fact, ResultFact):
            result = await payloads.atake(fact.event)
            return [Taken(found.record, fact._replace(event=result, raw=encode(result)))]
        if isinstance(fact, RequestFact):
            request = await payloads.atake(fact.event)
            return [Taken(found.record, fact._replace(event=request, raw=encode(request)))]
    except ClaimCheckError as error:
        return [found, Taken(found.record, invalid(found.record, UNREDEEMED, str(error)))]
    return [found]
