"""From settings to a service: the composition root that every command shares."""

from __future__ import annotations

from dataclasses import replace

from schemas.context import Context
from schemas.domains import free_with
from streams import settings as from_settings
from streams.agents.ingest import IngestTables
from streams.identity import Store
from streams.reference_data import bot_matcher
from streams.service import OFFLINE, Service, Sources, Timing, build
from streams.settings import Settings
from streams.settings.values import milliseconds
from streams.topology import SOURCES


def ingest_tables(settings: Settings) -> IngestTables:
    """What ingest looks things up in."""
    identity = settings.identity
    return IngestTables(
        from_settings.attribution_tables(settings),
        bot_matcher(),
        identity.hash_key.get_secret_value().encode(),
        free_with(identity.free_domains, identity.company_domains),
    )


def live_service(
    settings: Settings, journal_partitions: int, timing: Timing, store: Store | None = None
) -> Service:
    """The handlers of a worker; lateness comes from the settings. ``store`` keeps its copy of the identity table."""
    config = from_settings.core_config(settings)
    too_late_ms = config.attribution.longest_lookback_ms + milliseconds(settings.state.max_lateness)
    return build(
        config,
        ingest_tables(settings),
        Sources(from_settings.sources(settings), from_settings.context(settings)),
        replace(timing, too_late_ms=too_late_ms),
        journal_partitions=journal_partitions,
        generation=settings.state.generation,
        graph=from_settings.graph_config(settings),
        store=store,
    )


def offline_service(
    settings: Settings, now_ms: int, form: str = "native", as_of: int | None = None
) -> Service:
    """The handlers of ``score``: one source topic per kind, all in one input format with its configured options.

    ``now_ms`` is the wall clock for the ``future_timestamp`` check, ``as_of`` (ms) leaves later facts out.
    """
    at = from_settings.context(settings)

    def context(_: int) -> Context:
        return at(now_ms)

    return build(
        from_settings.core_config(settings),
        ingest_tables(settings),
        Sources({kind: (kind, from_settings.file_format(settings, kind, form)) for kind in SOURCES}, context),
        OFFLINE,
        journal_partitions=1,
        generation=settings.state.generation,
        graph=from_settings.graph_config(settings),
        as_of=as_of,
    )
