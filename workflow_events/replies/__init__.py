"""How a result finds its waiter.

Pure decisions, tested without a broker: :mod:`~workflow_events.replies.cursor` (where to start reading),
:mod:`~workflow_events.replies.correlator` (whose is this message), :mod:`~workflow_events.replies.window` (what was read
lately). At the edge: :mod:`~workflow_events.replies.async_reader` and :mod:`~workflow_events.replies.catch_up` on aiokafka,
:mod:`~workflow_events.replies.sync_reader` on kafka-python.
"""
