"""Requests and replies over NATS. Import the modules: `messages` is for those, too, who have no connection.

client      ask: one request, its reply or its error
server      serve: operations that answer, with time-outs, a bound on what waits, and audit records
discovery   who answers (ADR-32)
caller      who asks, and on whose behalf
messages    the requests and replies of each service
metrics     what answering counts
"""
