"""Binds the engine's consumer and producer to Faust."""

from __future__ import annotations

from faust.transport.drivers import aiokafka as driver

from streams.engine.consumer import EngineConsumer
from streams.engine.producer import EngineProducer


class EngineTransport(driver.Transport):
    """Faust's aiokafka transport with the engine's classes."""

    Consumer = EngineConsumer
    Producer = EngineProducer
