"""How log lines look: patterns whose groups are members of log.line.v1, and the parts of a time.

Time groups: year or year2 (two digits), month or mon (Jan), day, hour, minute, second, fraction or millis, offset. A
format is a line here; adding one needs an example in tests/unit/test_cli_log_lines.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2}):(?P<second>\d{1,2})"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9}))?"
_OFFSET = r" ?(?P<offset>Z|[+-]\d\d:?\d\d)?"
_DAY = r"(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)"
_ISO = _DAY + r"[T ]" + _CLOCK + _FRACTION
_ISO_ZONED = _ISO + _OFFSET
_MON = r"(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BSD = _MON + r" {1,2}(?P<day>\d{1,2}) " + _CLOCK
_LEVEL = r"(?P<level>[A-Z]{4,8})"
_WORDS = r"(?P<level>(?i:trace|debug|info|notice|warn|warning|error|err|critical|crit|fatal|severe|alert|emerg))"
_MESSAGE = r"(?P<message>.*)"
_PROCESS = r"(?P<process>[^\s:\[(]+(?:\([^)]*\))?)(?:\[(?P<pid>\d+)\])?(?: \([^)]*\))?"


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing lines. `service` is known where only one program writes so; `loose` ones match much."""

    name: str
    pattern: re.Pattern[str]
    service: str = ""
    loose: bool = False


def _format(name: str, *parts: str, service: str = "", loose: bool = False) -> Format:
    return Format(name, re.compile("".join((*parts, _MESSAGE)), re.DOTALL), service, loose)


# Tried in this order until one matches; what matched last in a file is tried first, unless it is loose.
FORMATS = (
    _format("android", r"(?P<month>\d\d)-(?P<day>\d\d) ", _CLOCK, _FRACTION, r" +(?P<pid>\d+) +(?P<thread>\d+) ",
            r"(?P<level>[VDIWEFS]) (?P<logger>[^:]*?) *: ?"),
    _format("apache", r"\[\w{3} ", _BSD, _FRACTION, r" (?P<year>\d{4})\] \[(?:\w+:)?(?P<level>\w+)\] ",
            r"(?:\[pid (?P<pid>\d+)(?::tid (?P<thread>\d+))?\] )?"),
    _format("hdfs", r"(?P<year2>\d\d)(?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d) ",
            r"(?P<thread>\d+) ", _LEVEL, r" (?P<logger>[^\s:]+): ?"),
    _format("hadoop", _ISO, r" +", _LEVEL, r" +\[(?P<thread>[^]]*)\] (?P<logger>[\w.$]+): ?"),
    _format("health_app", r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)-", _CLOCK,
            r":(?P<millis>\d{1,3})\|(?P<logger>[^|]*)\|(?P<pid>\d+)\|"),
    _format("openstack", r"(?P<service>[a-z][\w-]*)\.log\S* ", _ISO, r" (?P<pid>\d+) ", _LEVEL,
            r" (?P<logger>[\w.]+) "),
    _format("spark", r"(?P<year2>\d\d)/(?P<month>\d\d)/(?P<day>\d\d) ", _CLOCK, r" ", _LEVEL,
            r" (?P<logger>[^\s:]+): ?"),
    _format("windows", _ISO, r", (?P<level>\w+) +(?P<logger>\w+) +"),
    _format("zookeeper", _ISO, r" - ", _LEVEL, r" +\[(?P<thread>.*?):?(?P<logger>[\w$.]+)@\d+\] - "),
    _format("nats", r"\[(?P<pid>\d+)\] ", _ISO, r" \[(?P<level>[A-Z]{3})\] ", service="nats-server"),
    _format("cassandra", _LEVEL, r" +\[(?P<thread>.+?)\] ", _ISO, r" (?P<logger>[\w$.]+?)(?:\.java)?(?::\d+)?(?: -|:) ",
            service="cassandra"),
    _format("elasticsearch", r"\[", _ISO, r"\]\[", _LEVEL, r" *\]\[(?P<logger>[^]]+?) *\] (?:\[(?P<host>[^]]*)\] ?)?",
            service="elasticsearch"),
    _format("syslog_5424", r"<\d{1,3}>1 ", _ISO_ZONED, r" (?P<host>\S+) (?P<process>\S+) (?:(?P<pid>\d+)|\S+) \S+ ",
            r"(?:-|(?:\[(?:[^]\\]|\\.)*\])+) ?"),
    _format("syslog_iso", _ISO_ZONED, r" (?P<host>[\w.-]+) ", _PROCESS, r": "),
    _format("syslog", r"(?:<\d{1,3}>)?", _BSD, r" (?P<host>\S+) (?: ?-- )?", _PROCESS, r": ?"),
    _format("syslog_other", r"(?:<\d{1,3}>)?", _BSD, r" (?P<host>\S+) ", loose=True),
    _format("http_access", r"\S+ \S+ \S+ \[(?P<day>\d\d)/", _MON, r"/(?P<year>\d{4}):", _CLOCK,
            r" (?P<offset>[+-]\d{4})\] "),
    _format("dated_level", r"\[?", _ISO_ZONED, r"\]?[ ,:|-]*\[?", _WORDS, r"\]?[ :|-]+", loose=True),
    _format("log4j_status", _ISO_ZONED, r" (?P<thread>[\w.-]+) ", _LEVEL, r" ", loose=True),
    _format("named", r"(?P<process>[\w.-]+) ", _ISO, r": "),
    _format("dated", r"\[?", _ISO_ZONED, r"\]?[ ,:|-]+", loose=True),
)  # fmt: skip

# A line that goes on with the record before it: a stack trace, or text that is indented.
CONTINUATION = re.compile(r"\s+\S|Caused by: |Suppressed: |Traceback |(?:[\w$]+\.)+\w*(?:Exception|Error)\b")
