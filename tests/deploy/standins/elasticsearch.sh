#!/bin/bash
# The environment of the vendor's image → the node of the local stack. ES_JAVA_OPTS: -Xms… first.
heap=${ES_JAVA_OPTS#-Xms}
exec python3 /opt/elasticsearch_node.py --java=/opt/java "--heap=${heap%% *}" \
  --config=/usr/share/elasticsearch/config --temporary=/tmp \
  path.home=/usr/share/elasticsearch path.data=/usr/share/elasticsearch/data path.logs=/usr/share/elasticsearch/logs \
  cluster.name=penstock node.name=standin discovery.type=single-node network.host=0.0.0.0 http.port=9200 \
  cluster.routing.allocation.disk.threshold_enabled=false
