"""The words that log formats use as levels."""

from __future__ import annotations

COMMON = (
    "TRACE", "VERBOSE", "DEBUG", "INFO", "INFORMATION", "NOTICE", "WARN", "WARNING", "ERROR", "ERR", "SEVERE", "FATAL",
    "CRITICAL", "CRIT", "ALERT", "EMERG", "EMERGENCY", "PANIC",
)  # fmt: skip
_WORDS = (*COMMON, "CONFIG", "FINE", "FINER", "FINEST")  # of java.util.logging; words like others in small letters

UPPER = rf"(?P<level>{'|'.join(_WORDS)})(?!\w)"
ANY_CASE = rf"(?P<level>(?i:{'|'.join(COMMON)}))(?!\w)"
IN_BRACKETS = rf"(?P<level>(?i:{'|'.join(COMMON)}|TRC|VRB|DBG|INF|WRN|FTL))(?!\w)"
WORD = rf"(?:{'|'.join(_WORDS)})(?!\w)"

# By syslog's severity, 0 to 7 (RFC 5424, and PRIORITY of systemd's journal).
SYSLOG = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")

# By number, as the loggers of Node.js write them: pino and bunyan.
NODE = {10: "trace", 20: "debug", 30: "info", 40: "warn", 50: "error", 60: "fatal"}

# Of npm, on the terminal and in its files.
NPM = r"(?P<level>error|warn|notice|http|info|verbose|silly|verb|sill|WARN|ERR(?=!))!?"
