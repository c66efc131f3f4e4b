"""How log lines begin: patterns whose groups are members of log.line.v1, and the parts of a time.

Time groups: year or year2 (two digits), month or mon (Jan), day, hour, half (AM, PM), minute, second, fraction or
millis, offset or abbreviation (CEST); or epoch, in seconds since 1970. `before` is part of the message. Other groups
become labels. A format is a line here or in untimed_formats.py; adding one needs an example in
tests/unit/test_cli_log_lines.py or test_send_untimed.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock.cli.shipping.log_levels import ANY_CASE, IN_BRACKETS, UPPER, WORD
from penstock.cli.shipping.zones import ABBREVIATIONS

HEAD = 2048  # characters of a line in which its beginning is looked for, so that time grows with the length only

_OF_TIME = {
    "year", "year2", "month", "mon", "day", "hour", "minute", "second", "fraction", "millis", "offset", "abbreviation",
    "epoch", "half",
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
_ISO = _DAY + r"[Tt ] ?" + _CLOCK + _FRACTION
ISO_ZONED = _ISO + _OFFSET
_MON = r"(?P<mon>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_BSD = _MON + r" {1,2}(?P<day>\d{1,2}) " + _CLOCK
_SYSLOG = _MON + r" {1,2}(?P<day>\d{1,2}) (?:(?P<year>\d{4}) )?" + _CLOCK + _FRACTION
DAY_FIRST = (
    r"(?:\w{3}, )?(?P<day>\d{1,2})[-/ ]" + _MON + r"[-/ ](?P<year>\d{4})(?: |::?)" + _CLOCK + _FRACTION + _OFFSET
)
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

# How patterns begin whose lines all begin with a digit, a bracket or neither.
_BEGINS = {
    "0": re.compile(r"(?:\(\?=[^)]*\))?\(\?P<\w+>\\d"),
    "[": re.compile(r"\\\[(?!\?)"),
    "a": re.compile(r"\(\?P<\w+>(?:\(\?:)?\[?[A-Za-z]|\[A-Z\]|[#=]"),
}


@dataclass(frozen=True, slots=True)
class Format:
    """One way of writing lines. `names` are the groups of the pattern that are no part of the time; `service` is known
    where only one program writes so; `loose` ones match much. Where `whole`, every record of the program begins so, and
    a line without a time goes on with the record before it.
    """

    name: str
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    service: str = ""
    loose: bool = False
    whole: bool = False

    @property
    def begins(self) -> str:
        """What its lines begin with: `0` for a digit, `[` for a bracket, `a` for others, empty for any."""
        return next((first for first, begin in _BEGINS.items() if begin.match(self.pattern.pattern)), "")


def format_of(name: str, *parts: str, service: str = "", loose: bool = False, whole: bool = False) -> Format:
    """A format whose pattern are these parts, one behind the other."""
    pattern = re.compile("".join(parts), re.DOTALL)
    names = tuple(each for each in pattern.groupindex if each not in _OF_TIME)
    return Format(name, pattern, names, service, loose, whole)


# Tried in this order until one matches; what matched last in a file is tried first, unless it is loose.
FORMATS = (
    format_of("android", r"(?P<month>\d\d)-(?P<day>\d\d) ", _CLOCK, _FRACTION, r" +(?P<pid>\d+) +(?P<thread>\d+) ",
              r"(?P<level>[VDIWEFS]) (?P<logger>[^:]*?) *: ?"),
    format_of("apache", r"\[\w{3} ", _BSD, _FRACTION, r" (?P<year>\d{4})\] \[(?:(?P<module>\w+):)?",
              r"(?P<level>[a-z]+\d?)\] (?:\[pid (?P<pid>\d+)(?::tid (?P<thread>\d+))?\] )?"),
    format_of("glog", r"(?P<level>[IWEF])(?P<month>\d\d)(?P<day>\d\d) ", _CLOCK, _FRACTION,
              r" +(?P<thread>\d+) (?P<logger>[^\s:\]]+:\d+)\] ?", whole=True),
    format_of("hdfs", r"(?P<year2>\d\d)(?P<month>\d\d)(?P<day>\d\d) (?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d) ",
              r"(?P<thread>\d+) ", UPPER, r" (?P<logger>[^\s:]+): ?"),
    format_of("hadoop", _ISO, r" +", UPPER, r" +\[(?P<thread>[^]]*)\] (?P<logger>[\w.$]+): ?", whole=True),
    format_of("health_app", r"(?P<year>\d{4})(?P<month>\d\d)(?P<day>\d\d)-", _CLOCK,
              r":(?P<millis>\d{1,3})\|(?P<logger>[^|]*)\|(?P<pid>\d+)\|"),
    format_of("openstack", r"(?P<service>[a-z][\w-]*)\.log(?P<log_suffix>\S*) ", _ISO, r" (?P<pid>\d+) ", UPPER,
              r" (?P<logger>[\w.]+) "),
    format_of("spark", r"(?P<year2>\d\d)/(?P<month>\d\d)/(?P<day>\d\d) ", _CLOCK, r" ", UPPER,
              r" (?P<logger>[^\s:]+): ?"),
    format_of("windows", _ISO, r", ", ANY_CASE, r" +(?P<logger>\w+) +"),
    format_of("zookeeper", _ISO, r" - ", UPPER, r" +\[(?P<thread>[^]@]*):(?P<logger>[\w$.]+)@(?P<code_line>\d+)\] - ",
              whole=True),
    format_of("python", _ISO, r" - (?P<logger>[\w.-]+)(?: - |\[)", UPPER, r"(?: - |\]: )"),
    format_of("postgresql", _ISO, r" (?:(?P<offset>[+-]\d\d(?::?\d\d)?)|(?P<abbreviation>[A-Z]{2,5})) ",
              r"\[(?P<pid>\d+)\]:? (?:\[(?P<session_line>\d+-\d+)\] )?(?:(?P<session>\S+@\S+|user=\S*) )?(?:",
              _POSTGRES, r":  ?)?"),
    format_of("nats", r"\[(?P<pid>\d+)\] ", _ISO, r" \[(?P<level>INF|WRN|ERR|DBG|TRC|FTL)\] ", service="nats-server"),
    format_of("cassandra", UPPER, r" +\[(?P<thread>.+?)\] ", _ISO, r" (?P<logger>[\w$.]+?)(?:\.java)?",
              r"(?::(?P<code_line>\d+))?(?: -|:) ", service="cassandra", whole=True),
    format_of("elasticsearch", r"\[", _ISO, r"\]\[", UPPER, r" *\]\[(?P<logger>[^]]+?) *\] (?:\[(?P<host>[^]]*)\] ?)?",
              service="elasticsearch", whole=True),
    format_of("syslog_5424", r"<(?P<priority>\d{1,3})>1 ", ISO_ZONED, r" (?P<host>\S+) (?P<process>\S+) ",
              r"(?P<procid>\S+) (?P<msgid>\S+) (?:- ?|(?P<structured_data>(?:\[(?:[^]\\]|\\.)*\])+) ?)?"),
    format_of("syslog_iso", _PRIORITY, _DAY, r"T", _CLOCK, _FRACTION, r"(?P<offset>Z|[+-]\d\d:?\d\d) (?!", WORD,
              r")(?P<host>[\w.:-]*[\w.-]) ", _PROCESS, r": "),
    format_of("syslog", _PRIORITY, _SYSLOG, r" (?!", WORD, r")(?P<host>\S+) (?: ?-- )?", _PROCESS, r": ?"),
    format_of("syslog_other", _PRIORITY, _SYSLOG, r" (?!", WORD, r")(?P<host>\S+) ", loose=True),
    format_of("http_access", _CALLER, _ACCESS_TIME),
    format_of("http_access_iso", _CALLER, r"\[", ISO_ZONED, r"\] (?=\")"),
    format_of("http_access_other", r"(?P<before>\S+(?: \S+)?) ", _ACCESS_TIME, loose=True),
    format_of("load_balancer", r"(?P<before>https?|h2|grpcs?|wss?) ", ISO_ZONED, r" "),
    format_of("audit", r"(?P<before>(?:node=(?P<host>\S+) )?type=\w+) msg=audit\((?P<epoch>\d{9,10}\.\d{1,9}):",
              r"(?P<serial>\d+)\): ?"),
    format_of("squid", r"(?P<epoch>\d{10}\.\d{3}) +(?=\d+ \S+ [A-Z_]+/)"),
    format_of("redis", r"(?P<pid>\d+):[A-Z] ", DAY_FIRST, r" ", service="redis", whole=True),
    format_of("mysql", ISO_ZONED, r" +(?P<thread>\d+) \[(?P<level>System|Note|Warning|Error|ERROR)\] "),
    format_of("ruby", r"[A-Z], \[", _ISO, r" #(?P<pid>\d+)\] +(?P<level>[A-Z]+) -- (?P<process>[^:]*): ?", whole=True),
    format_of("celery", r"\[", _ISO, r": ", UPPER, r"/(?P<process>[^]]+)\] "),
    format_of("gunicorn", r"\[", ISO_ZONED, r"\] \[(?P<pid>\d+)\] \[", UPPER, r"\] "),
    format_of("monolog", r"\[", ISO_ZONED, r"\] (?P<logger>[\w-]+)\.", UPPER, r": ", whole=True),
    format_of("spring_boot", ISO_ZONED, r" +", UPPER, r" (?P<pid>\d+) --- (?:\[[^]]*\] )?\[ *(?P<thread>[^]]*?) *\] ",
              r"(?P<logger>\S+) *: ", whole=True),
    format_of("thread_level", r"\[?", ISO_ZONED, r"\]?[\s,|-]*\[ *(?!", WORD, r" *\])(?P<thread>[^][]{1,255}?) *\] *",
              r"\[?", UPPER, r"\]?[\s:|-]+(?:(?P<logger>[\w$]+(?:\.[\w$]+)+) *(?: -|:) +)?"),
    format_of("tomcat", DAY_FIRST, r" ", UPPER, r" \[(?P<thread>[^]]*)\] (?P<logger>\S+) ", whole=True),
    format_of("tracing", ISO_ZONED, r" +", UPPER, r" (?P<logger>\w+(?:::\w+)+): "),
    format_of("dated_level", r"\[?", ISO_ZONED, r"\]?[\s,:|-]*", UPPER, r"[ \t]*[\s:|-]+", loose=True),
    format_of("dated_level_in_brackets", r"\[?", ISO_ZONED, r"\]?[\s,:|-]*\[ *", IN_BRACKETS, r" *\][\s:|-]*",
              loose=True),
    # A bare word in small letters is a level only where it is set off by more than a blank.
    format_of("dated_level_before_sign", r"\[?", ISO_ZONED, r"\]?[\s,|-]*", ANY_CASE, r"(?:: | *\| *| - |\t| {2,})",
              loose=True),
    format_of("dated_level_behind_sign", r"\[?", ISO_ZONED, r"\]?(?:\t| *\| *| - | {2,})", ANY_CASE, r"\s+",
              loose=True),
    format_of("jvm", r"\[", ISO_ZONED, r"\](?:\[(?P<uptime>[\d.,]+m?s)\])?(?:\[\d+\])*\[(?P<level>[a-z]+) *\]",
              r"\[(?P<logger>[\w,+* -]+)\] "),
    format_of("mongodb", r"(?=\S{20,35} [FEWID]\d? )", ISO_ZONED,
              r" (?P<level>[FEWID]\d?) +(?P<logger>[A-Z]+|-) +\[(?P<thread>[^]]+)\] "),
    format_of("postgresql_csv", r"(?=\S{10} \S{8,15} \S{2,6},)", ISO_ZONED,
              r",(?:\"(?P<user>[^\"]*)\"|),(?:\"(?P<database>[^\"]*)\"|),(?P<pid>\d*),",
              r"(?:\"(?P<connection>[^\"]*)\"|),(?P<session>[\da-f.]*),(?P<session_line>\d*),(?:\"(?P<command>[^\"]*)\"|),",
              r"(?P<session_start>[^,]*),(?P<virtual_transaction>[^,]*),(?P<transaction>\d*),", _POSTGRES,
              r",(?P<sqlstate>\w{5}),", whole=True),
    format_of("haproxy", r"(?P<before>(?P<caller>[\da-fA-F.:]+):\d+) \[(?P<day>\d\d)/", _MON, r"/(?P<year>\d{4}):",
              _CLOCK, _FRACTION, r"\] "),
    format_of("java_logging", _MON, r" (?P<day>\d{1,2}), (?P<year>\d{4}),? ", _CLOCK, r"\s(?P<half>AM|PM) ",
              r"(?P<logger>[\w.$]+) (?P<method>[\w$<>]+)(?=\s*$)", whole=True),
    format_of("airflow", r"\[", ISO_ZONED, r"\] \{(?P<logger>[\w.-]+:\d+)\} ", UPPER, r" - "),
    format_of("epoch", r"\[(?P<epoch>\d{10}(?:\.\d{1,9})?)\] (?:(?P<process>[\w-]+)\[(?P<pid>\d+)(?::\d+)?\] )?",
              r"(?:(?P<level>debug|info|notice|warning|error): )?", loose=True),
    format_of("dotted", r"(?P<day>\d\d)\.(?P<month>\d\d)\.(?P<year>\d{4}) ", _CLOCK, _FRACTION, r"[\s,:|-]+(?:", UPPER,
              r"[\s:|-]+)?", loose=True),
    format_of("mysql_slow", r"# Time: ", ISO_ZONED, r"(?=\s*$)", whole=True),
    format_of("erlang", r"=(?P<before>(?:(?P<level>ERROR|WARNING|INFO)|[A-Z]+) REPORT)=+ ", DAY_FIRST, r" =+",
              whole=True),
    format_of("log4j_status", ISO_ZONED, r" (?P<thread>main|[\w.]+[-#_]\d[\w.-]*) ", UPPER, r" ", loose=True),
    format_of("apt", r"(?P<before>(?:Start-Date|End-Date|Log started|Log ended):) +", _DAY, r" +", _CLOCK),
    format_of("php", r"\[(?P<day>\d\d)-", _MON, r"-(?P<year>\d{4}) ", _CLOCK, r"(?: ", _ABBREVIATION, r")?[^]]*\] "),
    format_of("named", r"(?P<process>[\w.-]+) ", _ISO, r": "),
    format_of("level_first", r"\[?", UPPER, r"\]?:?\s+\[?", ISO_ZONED, r"\]?[\s,:|-]+", loose=True),
    format_of("day_first_level", r"\[?", DAY_FIRST, r"\]?[\s,:|-]*\[?", UPPER, r"\]?[ \t]*[\s:|-]+", loose=True),
    format_of("day_first", r"\[?", DAY_FIRST, r"\]?[\s,:|-]+", loose=True),
    format_of("asctime", r"\[?[A-Z][a-z]{2} ", _BSD, _FRACTION, r"(?: ", _ABBREVIATION, r")? ",
              r"(?P<year>\d{4})\]?[\s,:|-]+", loose=True),
    format_of("month_level", _SYSLOG, r" \[?", UPPER, r"\]?[ \t]*[\s:|-]+", loose=True),
    format_of("compact_level", r"\[?", _COMPACT, r"\]?[\s,:|-]*\[?", UPPER, r"\]?[ \t]*[\s:|-]+", loose=True),
    format_of("compact", r"\[?", _COMPACT, r"\]?[\s,:|-]+", loose=True),
    format_of("dated", r"\[?", ISO_ZONED, r"(?:\]?[ ,:|-]+|\](?=\[)|\]?$)", loose=True),
)  # fmt: skip
