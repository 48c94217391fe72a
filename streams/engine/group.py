"""What can be found out about a consumer group that gives no assignment."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.engine.quiet import Quiet
from streams.engine.reach import Reach
from streams.engine.settings import EngineSettings

COORDINATOR_LOG = "aiokafka.consumer.group_coordinator"
ASK_S = 5.0
MEMBERS_NAMED = 5


async def why_no_assignment(settings: EngineSettings, reach: Reach, quiet: Quiet, waited_s: float) -> str:
    """What is known, in words: silent brokers, the coordinator's refusal, or who else is in the group."""
    silent = reach.silent_s()
    if silent:
        return f"no broker has answered for {silent:.0f} s"
    facts = []
    refusal = quiet.last_of(COORDINATOR_LOG, waited_s)
    if refusal is not None:
        facts.append(f"the client's last complaint was: {refusal}")
        if "SessionTimeout" in refusal:
            facts.append(
                f"session_timeout_ms is {settings.session_timeout_ms}, it must lie between the broker's "
                "group.min.session.timeout.ms and group.max.session.timeout.ms"
            )
    facts.append(await _members(settings))
    return "; ".join(facts)


async def _members(settings: EngineSettings) -> str:
    admin = AIOKafkaAdminClient(
        bootstrap_servers=[host.strip() for host in settings.brokers.split(",") if host.strip()],
        **credentials_to_aiokafka_auth(settings.security.credentials(), None),
    )
    try:
        async with asyncio.timeout(ASK_S):
            await admin.start()
            (answer,) = await admin.describe_consumer_groups([settings.app_id])
            _, _, state, _, _, members, *_ = answer.groups[0]
    except (KafkaError, OSError, TimeoutError, ValueError, IndexError) as error:
        return f"and its coordinator does not describe the group ({error!r})"
    finally:
        await admin.close()
    return describe(state, members)


def describe(state: str, members: list[tuple[Any, ...]]) -> str:
    """A group's state and members (member id, client id, host, ...) in words, and what follows from them."""
    if not members:
        return f"the group is in state {state or 'unknown'} and has no members, so this worker is not in it"
    named = [f"{client}{host}" for _, client, host, *_ in members[:MEMBERS_NAMED]]
    more = f" and {len(members) - MEMBERS_NAMED} more" if len(members) > MEMBERS_NAMED else ""
    return (
        f"the group is in state {state or 'unknown'} with {len(members)} members ({', '.join(named)}{more}): "
        "one that ended without leaving holds everybody up until its session ends, which the embedded broker never "
        "does: restart that one"
    )
