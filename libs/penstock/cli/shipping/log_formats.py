"""How log lines begin: patterns whose groups are members of log.line.v1, and the parts of a time.

Time groups: year or year2 (two digits), month or mon (Jan), day, hour, minute, second, fraction or millis, offset or
abbreviation (CEST); or epoch, in seconds since 1970. `before` is part of the message. Other groups become labels. A
format is a line here; adding one needs an example in tests/unit/test_cli_log_lines.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.cli.shipping.log_levels import ANY_CASE, IN_BRACKETS, UPPER, WORD
from penstock.cli.shipping.zones import ABBREVIATIONS

HEAD = 2048  # characters of a line in which its beginning is looked for, so that time grows with the length only

_OF_TIME = {
    "year", "year2", "month", "mon", "day", "hour", "minute", "second", "fraction", "millis", "offset", "abbreviation",
    "epoch",
}  # fmt: skip
_CLOCK = r"(?P<hour>\d{1,2}):(?P<minute>\d{1,2}):(?P<second>\d{1,2})"
_FRACTION = r"(?:[.,](?P<fraction>\d{1,9}))?"
_ABBREVIATION = r"(?P<abbreviation>" + "|".join(ABBREVIATIONS) + r")(?!\w)"
_OFFSET = (
    r"(?: ?(?P<offset>[Zz](?!\w)|[+-]\d\d:?\d\d(?!\d)|(?<=\d)[+-]\d\d(?![\d:.]))"
    r"(?: (?:" + "|".join(ABBREVIATIONS) + r")(?!\w)|\[\w+/[\w/]+\])?"  # as Go and Java write it
    r"| " + _ABBREVIATION + ")?"
)
_DAY = r"(?P<year>\d{4})[-/](?P<month>\d\d)[-/](?P<day>\d\d)"
_ISO = _DAY + r"[Tt ]" + _CLOCK + _FRACTION
ISO_ZONED = _ISO + _OFFSET
_MON = r"(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BSD = _MON + r" {1,2}(?P<day>\d{1,2}) " + _CLOCK
_SYSLOG = _MON + r" {1,2}(?P<day>\d{1,2}) (?:(?P<year>\d{4}) )?" + _CLOCK + _FRACTION
DAY_FIRST = r"(?:\w{3}, )?(?P<day>\d{1,2})[-/ ]" + _MON + r"[-/ ](?P<year>\d{4})[ :]" + _CLOCK + _FRACTION + _OFFSET
_COMPACT = r"(?P<year>\d{4})(?P<month>[01]\d)(?P<day>[0-3]\d)[T -]" + _CLOCK + _FRACTION + _OFFSET
_ACCESS_TIME = r"\[(?P<day>\d\d)/" + _MON + r"/(?P<year>\d{4}):" + _CLOCK + _FRACTION + r" (?P<offset>[+-]\d{4})\] "
_CALLER = (
    r"(?P<before>(?:(?P<host>[\w.-]+\.[\w.-]+|\[[\da-fA-F:]+\]|\w+)"
    r"(?::\d+ | (?=[\da-fA-F]*[.:][\da-fA-F.:]+ \S+ [^\[])))?"
    r"(?P<caller>[^\s,]+)(?:, ?[^\s,]+)* \S+ (?P<user>[^\[\]\n]{1,256})) "
)
_PRIORITY = r"(?:<(?P<priority>\d{1,3})>)?"
_PROCESS = r"(?P<process>[^\s:\[(]+(?:\([^)]*\))?)(?:\[(?P<pid>\d+)\])?(?: \((?P<context>[^)]*)\))?"
_POSTGRES = r"(?P<level>LOG|DEBUG\d?|INFO|NOTICE|WARNING|ERROR|FATAL|PANIC)"


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing lines. `names` are the groups of the pattern that are no part of the time; `service` is known
    where only one program writes so; `loose` ones match much.
    """

    name: str
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    service: str = ""
    loose: bool = False


def _format(name: str, *parts: str, service: str = "", loose: bool = False) -> Format:
    pattern = re.compile("".join(parts), re.DOTALL)
    return Format(name, pattern, tuple(each for each in pattern.groupindex if each not in _OF_TIME), service, loose)


# Tried in this order until one matches; what matched last in a file is tried first, unless it is loose.
FORMATS = (
    _format("android", r"(?P<month>\d\d)-(?P<day>\d\d) ", _CLOCK, _FRACTION, r" +(?P<pid>\d+) +(?P<thread>\d+) ",
            r"(?P<level>[VDIWEFS]) (?P<logger>[^:]*?) *: ?"),
    _format("apache", r"\[\w{3} ", _BSD, _FRACTION, r" (?P<year>\d{4})\] \[(?:(?P<module>\w+):)?",
            r"(?P<level>[a-z]+\d?)\] (?:\[pid (?P<pid>\d+)(?::tid (?P<thread>\d+))?\] )?"),
    _format("glog", r"(?P<level>[IWEF])(?P<month>\d\d)(?P<day>\d\d) ", _CLOCK, _FRACTION,
            r" +(?P<thread>\d+) (?P<logger>[^\s:\]]+:\d+)\] ?"),
    _format("hdfs", r"(?P<year2>\d\d)(?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d) ",
            r"(?P<thread>\d+) ", UPPER, r" (?P<logger>[^\s:]+): ?"),
    _format("hadoop", _ISO, r" +", UPPER, r" +\[(?P<thread>[^]]*)\] (?P<logger>[\w.$]+): ?"),
    _format("health_app", r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)-", _CLOCK,
            r":(?P<millis>\d{1,3})\|(?P<logger>[^|]*)\|(?P<pid>\d+)\|"),
    _format("openstack", r"(?P<service>[a-z][\w-]*)\.log(?P<log_suffix>\S*) ", _ISO, r" (?P<pid>\d+) ", UPPER,
            r" (?P<logger>[\w.]+) "),
    _format("spark", r"(?P<year2>\d\d)/(?P<month>\d\d)/(?P<day>\d\d) ", _CLOCK, r" ", UPPER,
            r" (?P<logger>[^\s:]+): ?"),
    _format("windows", _ISO, r", ", ANY_CASE, r" +(?P<logger>\w+) +"),
    _format("zookeeper", _ISO, r" - ", UPPER, r" +\[(?P<thread>[^]@]*):(?P<logger>[\w$.]+)@(?P<code_line>\d+)\] - "),
    _format("python", _ISO, r" - (?P<logger>[\w.-]+) - ", UPPER, r" - "),
    _format("postgresql", _ISO, r" (?:(?P<offset>[+-]\d\d(?::?\d\d)?)|(?P<abbreviation>[A-Z]{2,5})) ",
            r"\[(?P<pid>\d+)\]:? (?:\[(?P<session_line>\d+-\d+)\] )?(?:(?P<session>\S+@\S+|user=\S*) )?(?:",
            _POSTGRES, r":  ?)?"),
    _format("nats", r"\[(?P<pid>\d+)\] ", _ISO, r" \[(?P<level>INF|WRN|ERR|DBG|TRC|FTL)\] ", service="nats-server"),
    _format("cassandra", UPPER, r" +\[(?P<thread>.+?)\] ", _ISO, r" (?P<logger>[\w$.]+?)(?:\.java)?",
            r"(?::(?P<code_line>\d+))?(?: -|:) ", service="cassandra"),
    _format("elasticsearch", r"\[", _ISO, r"\]\[", UPPER, r" *\]\[(?P<logger>[^]]+?) *\] (?:\[(?P<host>[^]]*)\] ?)?",
            service="elasticsearch"),
    _format("syslog_5424", r"<(?P<priority>\d{1,3})>1 ", ISO_ZONED, r" (?P<host>\S+) (?P<process>\S+) ",
            r"(?P<procid>\S+) (?P<msgid>\S+) (?:- ?|(?P<structured_data>(?:\[(?:[^]\\]|\\.)*\])+) ?)?"),
    _format("syslog_iso", _PRIORITY, _DAY, r"T", _CLOCK, _FRACTION, r"(?P<offset>Z|[+-]\d\d:?\d\d) (?!", WORD,
            r")(?P<host>[\w.:-]*[\w.-]) ", _PROCESS, r": "),
    _format("syslog", _PRIORITY, _SYSLOG, r" (?!", WORD, r")(?P<host>\S+) (?: ?-- )?", _PROCESS, r": ?"),
    _format("syslog_other", _PRIORITY, _SYSLOG, r" (?!", WORD, r")(?P<host>\S+) ", loose=True),
    _format("http_access", _CALLER, _ACCESS_TIME),
    _format("http_access_iso", _CALLER, r"\[", ISO_ZONED, r"\] (?=\")"),
    _format("http_access_other", r"(?P<before>\S+(?: \S+)?) ", _ACCESS_TIME, loose=True),
    _format("load_balancer", r"(?P<before>https?|h2|grpcs?|wss?) ", ISO_ZONED, r" "),
    _format("audit", r"(?P<before>(?:node=(?P<host>\S+) )?type=\w+) msg=audit\((?P<epoch>\d{9,10}\.\d{1,9}):",
            r"(?P<serial>\d+)\): ?"),
    _format("squid", r"(?P<epoch>\d{10}\.\d{3}) +(?=\d+ \S+ [A-Z_]+/)"),
    _format("redis", r"(?P<pid>\d+):[A-Z] ", DAY_FIRST, r" ", service="redis"),
    _format("mysql", ISO_ZONED, r" +(?P<thread>\d+) \[(?P<level>System|Note|Warning|Error|ERROR)\] "),
    _format("ruby", r"[A-Z], \[", _ISO, r" #(?P<pid>\d+)\] +(?P<level>[A-Z]+) -- (?P<process>[^:]*): ?"),
    _format("celery", r"\[", _ISO, r": ", UPPER, r"/(?P<process>[^]]+)\] "),
    _format("gunicorn", r"\[", ISO_ZONED, r"\] \[(?P<pid>\d+)\] \[", UPPER, r"\] "),
    _format("monolog", r"\[", ISO_ZONED, r"\] (?P<logger>[\w-]+)\.", UPPER, r": "),
    _format("spring_boot", ISO_ZONED, r" +", UPPER, r" (?P<pid>\d+) --- (?:\[[^]]*\] )?\[ *(?P<thread>[^]]*?) *\] ",
            r"(?P<logger>\S+) *: "),
    _format("thread_level", r"\[?", ISO_ZONED, r"\]?[\s,|-]*\[ *(?!", WORD, r" *\])(?P<thread>[^][]{1,255}?) *\] *",
            r"\[?", UPPER, r"\]?[\s:|-]+(?:(?P<logger>[\w$]+(?:\.[\w$]+)+) *(?: -|:) +)?"),
    _format("tomcat", DAY_FIRST, r" ", UPPER, r" \[(?P<thread>[^]]*)\] (?P<logger>\S+) "),
    _format("tracing", ISO_ZONED, r" +", UPPER, r" (?P<logger>\w+(?:::\w+)+): "),
    _format("dated_level", r"\[?", ISO_ZONED, r"\]?[\s,:|-]*", UPPER, r"[ \t]*[\s:|-]+", loose=True),
    _format("dated_level_in_brackets", r"\[?", ISO_ZONED, r"\]?[\s,:|-]*\[ *", IN_BRACKETS, r" *\][\s:|-]*",
            loose=True),
    # A bare word in small letters is a level only where it is set off by more than a blank.
    _format("dated_level_before_sign", r"\[?", ISO_ZONED, r"\]?[\s,|-]*", ANY_CASE, r"(?:: | *\| *| - |\t| {2,})",
            loose=True),
    _format("dated_level_behind_sign", r"\[?", ISO_ZONED, r"\]?(?:\t| *\| *| - | {2,})", ANY_CASE, r"\s+", loose=True),
    _format("log4j_status", ISO_ZONED, r" (?P<thread>main|[\w.]+[-#_]\d[\w.-]*) ", UPPER, r" ", loose=True),
    _format("apt", r"(?P<before>(?:Start-Date|End-Date|Log started|Log ended):) +", _DAY, r" +", _CLOCK),
    _format("php", r"\[(?P<day>\d\d)-", _MON, r"-(?P<year>\d{4}) ", _CLOCK, r"(?: ", _ABBREVIATION, r")?[^]]*\] "),
    _format("named", r"(?P<process>[\w.-]+) ", _ISO, r": "),
    _format("level_first", r"\[?", UPPER, r"\]?:?\s+\[?", ISO_ZONED, r"\]?[\s,:|-]+", loose=True),
    _format("day_first_level", r"\[?", DAY_FIRST, r"\]?[\s,:|-]*\[?", UPPER, r"\]?[ \t]*[\s:|-]+", loose=True),
    _format("day_first", r"\[?", DAY_FIRST, r"\]?[\s,:|-]+", loose=True),
    _format("asctime", r"\[?[A-Z][a-z]{2} ", _BSD, _FRACTION, r"(?: ", _ABBREVIATION, r")? (?P<year>\d{4})\]?[\s,:|-]+",
            loose=True),
    _format("month_level", _SYSLOG, r" \[?", UPPER, r"\]?[ \t]*[\s:|-]+", loose=True),
    _format("compact_level", r"\[?", _COMPACT, r"\]?[\s,:|-]*\[?", UPPER, r"\]?[ \t]*[\s:|-]+", loose=True),
    _format("compact", r"\[?", _COMPACT, r"\]?[\s,:|-]+", loose=True),
    _format("dated", r"\[?", ISO_ZONED, r"\]?[ ,:|-]+", loose=True),
)  # fmt: skip
