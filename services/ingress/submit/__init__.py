"""POST /v1/events: events are accepted, committed and answered one by one."""
