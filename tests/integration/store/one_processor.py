"""A processor as a process of its own, on the environment's settings, until SIGTERM."""

from __future__ import annotations

import asyncio
import signal

from result_store.archive import Archive
from result_store.database.database import ResultDatabase
from result_store.processor import Processor
from result_store.settings import StoreSettings
from workflow_events import KafkaSettings


async def _main() -> None:
    settings = StoreSettings()
    database = ResultDatabase(settings)
    await database.start()
    processor = Processor(KafkaSettings(), settings, database, archive=Archive(settings))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, processor.stop)
    try:
        await processor.run()
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(_main())
