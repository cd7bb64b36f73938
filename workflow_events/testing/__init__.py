"""Real brokers, databases and Airflow for tests: of this project, and of your own DAGs and graphs.

Installing `workflow-events` registers `workflow_events.testing.plugin` with pytest, whose fixtures start what a test names and
stop it again. The same parts are context managers for use without pytest:

* `embedded.EmbeddedBroker`: a Kafka-protocol broker in memory, up in milliseconds.
* `apache_kafka.ApacheKafka`: Apache Kafka itself, one broker or several.
* `postgres.PostgresServer`: a throw-away PostgreSQL.
* `redis.RedisServer`: a throw-away Redis.
* `s3.S3Server`: an S3 API, for what is kept in buckets.
* `airflow.AirflowStack`: the processes of a real Airflow.

Everything listens on 127.0.0.1 alone, keeps its files in a temporary folder, and leaves no process behind.
"""

from __future__ import annotations
