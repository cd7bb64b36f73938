"""Kafka clients: how they are made, and what their errors mean. ``aio`` is aiokafka, ``blocking`` is kafka-python."""
