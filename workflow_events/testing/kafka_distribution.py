"""Where Apache Kafka's program comes from: Maven Central, by Maven, into a cache folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from workflow_events.testing.unavailable import PartUnavailableError

DEFAULT_VERSION = "4.3.0"

_POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>workflow-events</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{version}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
# kafka_2.13 logs through slf4j 1.7 and brings no backend of it; slf4j-simple writes to standard error.


def cache_folder() -> Path:
    """Return the folder of this package in the user's cache (``$XDG_CACHE_HOME``, else ``~/.cache``)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "workflow-events"


def java_program() -> str:
    """Return the path of a Java runtime: ``$JAVA_HOME/bin/java``, else the one on the path.

    Raises:
        PartUnavailableError: there is none. Kafka 4 needs Java 17 or later.
    """
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=Path(home) / "bin") if home else None
    found = found or shutil.which("java")
    if found is None:
        raise PartUnavailableError("Apache Kafka needs Java 17 or later, and no java is on the path")
    return found


def kafka_libraries(version: str = DEFAULT_VERSION) -> Path:
    """Return a folder with Kafka's jars, fetched by Maven the first time (about 100 MB).

    Concurrent callers are safe: each fetches into a folder of its own, and one of them wins the rename.

    Raises:
        PartUnavailableError: there is no Maven, or it cannot fetch that version.
    """
    target = cache_folder() / f"kafka-{version}" / "libs"
    if target.is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        raise PartUnavailableError("Apache Kafka is fetched from Maven Central, and no mvn is on the path")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        pom = Path(scratch, "pom.xml")
        pom.write_text(_POM.format(version=version))
        fetched = Path(scratch, "libs")
        done = subprocess.run(
            [
                *(maven, "--quiet", "--batch-mode", "--file", pom, "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={fetched}"),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise PartUnavailableError(f"Maven could not fetch Apache Kafka {version}:\n{done.stdout}{done.stderr}")
        with contextlib.suppress(OSError):  # somebody else was first, and theirs is as good
            fetched.rename(target)
    return target
