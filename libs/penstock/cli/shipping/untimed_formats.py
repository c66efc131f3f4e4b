"""How lines without a date begin that say their level all the same; patterns as in log_formats.py.

Such a line has the time of the line before it. A time of day alone stays in the message.
"""

from __future__ import annotations

import re

from penstock.cli.shipping.log_formats import format_of
from penstock.cli.shipping.log_levels import COMMON, IN_BRACKETS, NPM, UPPER

_TIME_OF_DAY = r"(?P<before>\d{1,2}:\d\d:\d\d(?:[.,]\d{1,9})?)"

# How all of them begin: one pattern that rules out most lines.
LIKELY = re.compile(
    r"\[ *[A-Za-z\d]|<\d|\d{1,2}:\d\d:\d\d|\d+ [a-z]+(?: |$)|npm |[a-z][a-z.-]*(?: *:[a-z]+ *)?: |[A-Z]{3,11}:"
)

# npm's own files: elsewhere `5 error messages` says no level.
NPM_BEGINS = format_of("npm_file", r"0 ", NPM, r" (?=cli |it worked if it ends with ok)", service="npm")
NPM_GOES_ON = format_of("npm_file", r"(?P<number>\d+) ", NPM, r"(?: |$)", service="npm")

UNTIMED = (
    NPM_BEGINS,
    format_of("haproxy_start", r"\[(?P<level>[A-Z]+)\] +(?P<before>\d{3}/\d{6} )?\((?P<pid>\d+)\) : ",
              service="haproxy"),
    format_of("npm", r"npm ", NPM, r"(?: |$)", service="npm"),
    format_of("jvm_uptime", r"\[(?P<uptime>[\d.,]+m?s)\](?:\[\d+\])*\[(?P<level>[a-z]+) *\]",
              r"\[(?P<logger>[\w,+* -]+)\] "),
    format_of("dotnet", r"(?P<level>trce|dbug|info|warn|fail|crit): (?P<logger>[\w.]+)\[(?P<event_id>\d+)\]\s*$"),
    format_of("dmesg", r"(?P<facility>kern|user|daemon|auth|syslog) *:(?P<level>[a-z]+) *: (?=\[)"),
    format_of("kernel", r"<(?P<priority>\d{1,3})>(?=\[)"),
    format_of("python_basic", r"(?P<level>DEBUG|INFO|WARNING|ERROR|CRITICAL):(?P<logger>[\w.-]+):"),
    format_of("logback", _TIME_OF_DAY, r" \[(?P<thread>[^]]+)\] ", UPPER, r" +(?P<logger>[\w$.]+) +- "),
    format_of("time_of_day_level", _TIME_OF_DAY, r"[\s|-]+", UPPER, r"[\s:|-]+"),
    format_of("time_of_day_level_in_brackets", _TIME_OF_DAY, r"[\s|-]+\[ *", IN_BRACKETS, r" *\][\s:|-]*"),
    format_of("level_in_brackets", r"\[ *", IN_BRACKETS, r" *\][\s:|-]+"),
    format_of("process_level_in_brackets", r"(?P<process>[a-z][a-z.-]*): \[ *", IN_BRACKETS, r" *\] "),
    format_of("level_first_untimed", rf"(?P<level>{'|'.join(COMMON)}): +"),
)  # fmt: skip
