"""The durable memory of results. It holds nothing yet."""
