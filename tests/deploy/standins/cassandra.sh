#!/bin/bash
# As the vendor's `cassandra -f`: the heap and further flags come from the environment.
mapfile -t flags < /opt/java.flags
# shellcheck disable=SC2086
exec /opt/java/bin/java "-Xms$MAX_HEAP_SIZE" "-Xmx$MAX_HEAP_SIZE" "${flags[@]}" $JVM_EXTRA_OPTS \
  -cp "/opt/cassandra/lib/*" org.apache.cassandra.service.CassandraDaemon
