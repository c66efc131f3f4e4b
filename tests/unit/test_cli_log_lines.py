"""Lines of logs become events: every format with an example, and whole files of the systems that write them."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.cli.shipping.log_lines import LogFile
from penstock.contracts import load
from penstock.events import Checker
from tests.support.data_folder import data_folder

WRITTEN = 1_795_219_200_000_000_000  # 2026-11-21T00:00:00Z

# line → time, entity, members of the data
LINES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("03-17 16:13:38.811  1702  2395 D WindowManager: printing", "2026-03-17T16:13:38.811Z", "app",
     {"pid": 1702, "thread": "2395", "level": "D", "logger": "WindowManager", "message": "printing"}),
    ("[Sun Dec 04 04:47:44 2005] [error] mod_jk child in error state 6", "2005-12-04T04:47:44.000Z", "app",
     {"level": "error", "message": "mod_jk child in error state 6"}),
    ("081109 203615 148 INFO dfs.DataNode$PacketResponder: PacketResponder 1", "2008-11-09T20:36:15.000Z", "app",
     {"thread": "148", "level": "INFO", "logger": "dfs.DataNode$PacketResponder", "message": "PacketResponder 1"}),
    ("2015-10-18 18:01:47,978 INFO [IPC handler 1] org.apache.X$1: Created", "2015-10-18T18:01:47.978Z", "app",
     {"thread": "IPC handler 1", "level": "INFO", "logger": "org.apache.X$1", "message": "Created"}),
    ("20171224-0:28:0:83|Step_LSC|30002312|action:x", "2017-12-24T00:28:00.083Z", "app",
     {"logger": "Step_LSC", "pid": 30002312, "message": "action:x"}),
    ("Jun  4 15:16:01 combo sshd(pam_unix)[19939]: check pass", "2026-06-04T15:16:01.000Z", "combo",
     {"host": "combo", "process": "sshd(pam_unix)", "pid": 19939, "message": "check pass"}),
    ("Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user", "2025-12-10T06:55:46.000Z", "LabSZ",
     {"host": "LabSZ", "process": "sshd", "pid": 24200, "message": "Invalid user"}),
    ("Jul  1 09:00:55 mac com.apple.xpc.launchd[1] (com.apple.x[2]): Service exited", "2026-07-01T09:00:55.000Z", "mac",
     {"process": "com.apple.xpc.launchd", "pid": 1, "message": "Service exited"}),
    ("Jul  1 09:00:55 mac --- last message repeated 1 time ---", "2026-07-01T09:00:55.000Z", "mac",
     {"message": "--- last message repeated 1 time ---"}),
    ("nova-api.log.1.2017-05-16_13:53:08 2017-05-16 00:00:00.008 25746 INFO nova.wsgi [req-1] GET",
     "2017-05-16T00:00:00.008Z", "nova-api",
     {"service": "nova-api", "pid": 25746, "level": "INFO", "logger": "nova.wsgi", "message": "[req-1] GET"}),
    ("17/06/09 20:10:40 INFO spark.SecurityManager: Changing", "2017-06-09T20:10:40.000Z", "app",
     {"level": "INFO", "logger": "spark.SecurityManager", "message": "Changing"}),
    ("2016-09-28 04:30:30, Info                  CBS    Loaded", "2016-09-28T04:30:30.000Z", "app",
     {"level": "Info", "logger": "CBS", "message": "Loaded"}),
    ("2015-07-29 17:41:44,747 - WARN  [SendWorker:18:QuorumCnxManager$SendWorker@688] - Leaving",
     "2015-07-29T17:41:44.747Z", "app",
     {"thread": "SendWorker:18", "logger": "QuorumCnxManager$SendWorker", "level": "WARN", "message": "Leaving"}),
    ("[20966] 2026/11/20 03:37:40.811756 [INF] Starting nats-server", "2026-11-20T03:37:40.811756Z", "nats-server",
     {"service": "nats-server", "pid": 20966, "level": "INF", "message": "Starting nats-server"}),
    ("INFO  [Flush:5] 2026-11-20 03:13:18,394 StorageService.java:123 - Node up",
     "2026-11-20T03:13:18.394Z", "cassandra",
     {"service": "cassandra", "thread": "Flush:5", "level": "INFO", "logger": "StorageService", "message": "Node up"}),
    ("[2026-11-20T03:14:23,998][INFO ][o.e.c.m.Metadata     ] [node-1] deleting", "2026-11-20T03:14:23.998Z", "node-1",
     {"service": "elasticsearch", "host": "node-1", "logger": "o.e.c.m.Metadata", "message": "deleting"}),
    ("<34>1 2025-10-11T22:14:15.003+02:00 web-1 su 77 ID47 [a b=\"c\"] failed", "2025-10-11T20:14:15.003Z", "web-1",
     {"host": "web-1", "process": "su", "pid": 77, "message": "failed"}),
    ("2026-11-20T03:38:12.374320+00:00 vm systemd[1]: Started", "2026-11-20T03:38:12.374320Z", "vm",
     {"process": "systemd", "pid": 1, "message": "Started"}),
    ('192.0.2.1 - - [10/Oct/2020:13:55:36 -0700] "GET / HTTP/1.0" 200 23', "2020-10-10T20:55:36.000Z", "app",
     {"message": '192.0.2.1 - - "GET / HTTP/1.0" 200 23', "labels": {"caller": "192.0.2.1"}}),
    ('web.example:80 ::1 - Bo Ek [10/Oct/2020:13:55:36 +0000] "GET / HTTP/2.0" 200 23 "-" "x"',
     "2020-10-10T13:55:36.000Z", "web.example",
     {"message": 'web.example:80 ::1 - Bo Ek "GET / HTTP/2.0" 200 23 "-" "x"', "host": "web.example",
      "labels": {"caller": "::1", "user": "Bo Ek"}}),
    ('2001:db8::7 - eve [10/Oct/2020:13:55:36 +0000] "POST /pay HTTP/1.1" 500 0', "2020-10-10T13:55:36.000Z", "app",
     {"message": '2001:db8::7 - eve "POST /pay HTTP/1.1" 500 0'}),
    ("2026-02-01 12:00:00.5 EST [9] shop@till LOG:  started", "2026-02-01T17:00:00.500Z", "app",
     {"pid": 9, "level": "LOG", "message": "started", "labels": {"session": "shop@till"}}),
    ("2026-02-01 12:00:00.123 -03 [9] FATAL:  no slots", "2026-02-01T15:00:00.123Z", "app",
     {"level": "FATAL", "message": "no slots"}),
    ("2026-02-01 12:00:00 CET desk opened", "2026-02-01T11:00:00.000Z", "app", {"message": "desk opened"}),
    ("2026-02-01 12:00:00 Zebra crossing", "2026-02-01T12:00:00.000Z", "app", {"message": "Zebra crossing"}),
    ("2026-02-01 12:00:00,5 - shop.pay - WARNING - slow", "2026-02-01T12:00:00.500Z", "app",
     {"logger": "shop.pay", "level": "WARNING", "message": "slow"}),
    ("2026-02-01T12:00:00.25Z  INFO shop::pay: ready", "2026-02-01T12:00:00.250Z", "app",
     {"logger": "shop::pay", "level": "INFO", "message": "ready"}),
    ("2026-02-01 12:00:00.000 [WRN] slow", "2026-02-01T12:00:00.000Z", "app", {"level": "WRN", "message": "slow"}),
    ("E0201 12:00:00.000500   77 till.go:12] no seat", "2026-02-01T12:00:00.000500Z", "app",
     {"level": "E", "logger": "till.go:12", "message": "no seat"}),
    ("[01-Feb-2026 12:00:00 UTC] PHP Notice:  x", "2026-02-01T12:00:00.000Z", "app", {"message": "PHP Notice:  x"}),
    ("Start-Date: 2026-02-01  12:00:00", "2026-02-01T12:00:00.000Z", "app",
     {"message": "Start-Date: 2026-02-01  12:00:00"}),
    ("<11>Feb  1 12:00:00 till-7 pay: no seat", "2026-02-01T12:00:00.000Z", "till-7",
     {"level": "error", "process": "pay", "message": "no seat"}),
    ("<165>1 2026-02-01T12:00:00Z h app prc ID1 - up", "2026-02-01T12:00:00.000Z", "h",
     {"level": "notice", "message": "up", "labels": {"procid": "prc", "msgid": "ID1"}}),
    ('time="2026-02-01T12:00:00Z" level=error msg="no \\"seat\\"" seat=7', "2026-02-01T12:00:00.000Z", "app",
     {"level": "error", "message": 'no "seat"', "labels": {"seat": "7"}}),
    # What looks like a level, a host or a thread, and is a word.
    ("2026-02-01T12:00:00Z 10.0.0.1 PUT /desk 204", "2026-02-01T12:00:00.000Z", "app",
     {"message": "10.0.0.1 PUT /desk 204", "level": None, "thread": None}),
    ("2026-02-01 12:00:00 debug symbols were loaded", "2026-02-01T12:00:00.000Z", "app",
     {"message": "debug symbols were loaded", "level": None}),
    ("2026-02-01 12:00:00 the ERROR went away", "2026-02-01T12:00:00.000Z", "app",
     {"message": "the ERROR went away", "level": None}),
    ("2026-02-01 12:00:00 ERROR booking: no seat", "2026-02-01T12:00:00.000Z", "app",
     {"message": "booking: no seat", "level": "ERROR", "host": None}),
    ("2026-02-01 12:00:00 JSON: written", "2026-02-01T12:00:00.000Z", "app", {"message": "JSON: written"}),
    # Times that are rare.
    ("2026-02-01 23:59:60 INFO leap", "2026-02-02T00:00:00.000Z", "app", {"message": "leap"}),
    ("2026-02-01t12:00:00z INFO small letters", "2026-02-01T12:00:00.000Z", "app", {"message": "small letters"}),
    # Colours.
    ("2026-02-01 12:00:00 \x1b[1;33mWARN\x1b[0m \x1b[2mslow\x1b[22m", "2026-02-01T12:00:00.000Z", "app",
     {"level": "WARN", "message": "slow"}),
    ("\x1b[31m2026-02-01 12:00:00\x1b(B\x1b[m \x1b[1mERROR\x1b(B\x1b[m tput", "2026-02-01T12:00:00.000Z", "app",
     {"level": "ERROR", "message": "tput"}),
    ("\x1b[90m2026-02-01 12:00:00\x1b[39m \x9b31mERROR\x9b0m see \x1b]8;;http://x\x1b\\here\x1b]8;;\x1b\\",
     "2026-02-01T12:00:00.000Z", "app", {"level": "ERROR", "message": "see here"}),
    ("2026-02-01 12:00:00 #033[31mERROR#033[0m as rsyslog has it", "2026-02-01T12:00:00.000Z", "app",
     {"level": "ERROR", "message": "as rsyslog has it"}),
    ("update-alternatives 2025-06-24 14:36:53: run with", "2025-06-24T14:36:53.000Z", "update-alternatives",
     {"process": "update-alternatives", "message": "run with"}),
    ("2025-06-24 14:36:53 ERROR: it failed", "2025-06-24T14:36:53.000Z", "app",
     {"level": "ERROR", "message": "it failed"}),
    ("2025-06-24 14:36:53 install tzdata:all", "2025-06-24T14:36:53.000Z", "app", {"message": "install tzdata:all"}),
    ("no time at all", "2026-11-21T00:00:00.000Z", "app", {"message": "no time at all"}),
    ("2026-02-30 10:00:00 no such day", "2026-11-21T00:00:00.000Z", "app",
     {"message": "2026-02-30 10:00:00 no such day"}),
    ('{"@timestamp":"2026-11-20T10:00:00.5Z","log.level":"WARN","message":"slow","log.logger":"x","service.name":"es"}',
     "2026-11-20T10:00:00.500Z", "es", {"level": "WARN", "logger": "x", "service": "es", "message": "slow"}),
    ('{"ts":1795132800.25,"msg":"hi","pid":"7","user":{"id":5}}', "2026-11-20T00:00:00.250Z", "app",
     {"message": "hi", "pid": 7, "labels": {"user.id": "5"}}),
    ('{"type":"server","timestamp":"2026-11-20T10:00:00,123+0000","level":"INFO","component":"o.e.n","message":"m"}',
     "2026-11-20T10:00:00.123Z", "app", {"logger": "o.e.n", "message": "m", "labels": {"type": "server"}}),
    ("2026-11-20 10:00:00.123 [main] INFO  com.x.Y - logback", "2026-11-20T10:00:00.123Z", "app",
     {"thread": "main", "level": "INFO", "logger": "com.x.Y", "message": "logback"}),
    ("2026-11-20 10:00:00,123 [3] ERROR MyApp.Program - log4net", "2026-11-20T10:00:00.123Z", "app",
     {"thread": "3", "level": "ERROR", "logger": "MyApp.Program", "message": "log4net"}),
    ("2026-11-20T10:00:00.123Z  INFO 1234 --- [shop] [           main] com.x.Y : spring",
     "2026-11-20T10:00:00.123Z", "app",
     {"thread": "main", "level": "INFO", "logger": "com.x.Y", "pid": 1234, "message": "spring"}),
    ("20-Nov-2026 10:00:00.123 INFO [main] org.apache.Server started", "2026-11-20T10:00:00.123Z", "app",
     {"thread": "main", "level": "INFO", "logger": "org.apache.Server", "message": "started"}),
    ("1234:M 20 Nov 2026 10:00:00.123 * Ready", "2026-11-20T10:00:00.123Z", "redis",
     {"service": "redis", "pid": 1234, "message": "* Ready"}),
    ("2026-11-20T10:00:00.123456Z 8 [Warning] [MY-1] [Server] slow", "2026-11-20T10:00:00.123456Z", "app",
     {"thread": "8", "level": "Warning", "message": "[MY-1] [Server] slow"}),
    ("I, [2026-11-20T10:00:00.123456 #12]  INFO -- : ruby", "2026-11-20T10:00:00.123456Z", "app",
     {"pid": 12, "level": "INFO", "message": "ruby"}),
    ("[2026-11-20 10:00:00 +0000] [12] [INFO] gunicorn", "2026-11-20T10:00:00.000Z", "app",
     {"pid": 12, "level": "INFO", "message": "gunicorn"}),
    ("[2026-11-20 10:00:00,123: ERROR/MainProcess] celery", "2026-11-20T10:00:00.123Z", "MainProcess",
     {"level": "ERROR", "process": "MainProcess", "message": "celery"}),
    ("[2026-11-20T10:00:00.5+00:00] app.ERROR: monolog", "2026-11-20T10:00:00.500Z", "app",
     {"logger": "app", "level": "ERROR", "message": "monolog"}),
    ("ERROR 2026-11-20 10:00:00,123 django", "2026-11-20T10:00:00.123Z", "app",
     {"level": "ERROR", "message": "django"}),
    ("[ERROR]\t2026-11-20T10:00:00.123Z\tlambda", "2026-11-20T10:00:00.123Z", "app",
     {"level": "ERROR", "message": "lambda"}),
    ("2026-11-20T10:00:00+0100 h proc[1]: short-iso", "2026-11-20T09:00:00.000Z", "h",
     {"host": "h", "process": "proc", "pid": 1, "message": "short-iso"}),
    ("Nov 20 10:00:00.123456 h kernel: precise", "2026-11-20T10:00:00.123456Z", "h",
     {"host": "h", "process": "kernel", "message": "precise"}),
    ("Nov 20 2025 10:00:00 fw : %ASA-6-1: built", "2025-11-20T10:00:00.000Z", "fw", {"host": "fw"}),
    ("Nov 20 10:00:00 INFO no host", "2026-11-20T10:00:00.000Z", "app", {"level": "INFO", "message": "no host"}),
    ("Fri Nov 20 10:00:00 2026 asctime", "2026-11-20T10:00:00.000Z", "app", {"message": "asctime"}),
    ("Fri, 20 Nov 2026 10:00:00 GMT mail", "2026-11-20T10:00:00.000Z", "app", {"message": "mail"}),
    ("[20/Nov/2026:10:00:00 +0100] 203.0.113.7 TLSv1.3", "2026-11-20T09:00:00.000Z", "app",
     {"message": "203.0.113.7 TLSv1.3"}),
    ("20261120 10:00:00.123 INFO compact", "2026-11-20T10:00:00.123Z", "app", {"level": "INFO", "message": "compact"}),
    ("20261120T100000Z not a time of day with colons", "2026-11-21T00:00:00.000Z", "app", {}),
    ("2026-11-20 10:00:00-03 INFO hours", "2026-11-20T13:00:00.000Z", "app", {"level": "INFO", "message": "hours"}),
    ("2026-11-20 10:00:00.5 +0000 UTC go", "2026-11-20T10:00:00.500Z", "app", {"message": "go"}),
    ("2026-11-20T11:00:00+01:00[Europe/Berlin] java", "2026-11-20T10:00:00.000Z", "app", {"message": "java"}),
    ("2026-11-20 10:00:00.123 UTC [12]: [3-1] user=u,db=d ERROR:  pg", "2026-11-20T10:00:00.123Z", "app",
     {"level": "ERROR", "pid": 12, "message": "pg", "labels": {"session_line": "3-1", "session": "user=u,db=d"}}),
    ("type=SYSCALL msg=audit(1795168800.123:45): arch=c000003e", "2026-11-20T10:00:00.123Z", "app",
     {"message": "type=SYSCALL arch=c000003e", "labels": {"serial": "45"}}),
    ("1795168800.123      5 203.0.113.7 TCP_MISS/200 GET", "2026-11-20T10:00:00.123Z", "app",
     {"message": "5 203.0.113.7 TCP_MISS/200 GET"}),
    ("https 2026-11-20T10:00:00.5Z app/lb 203.0.113.7:1", "2026-11-20T10:00:00.500Z", "app",
     {"message": "https app/lb 203.0.113.7:1"}),
    ('203.0.113.7, 10.0.0.1 - - [20/Nov/2026:10:00:00.5 +0000] "GET /"', "2026-11-20T10:00:00.500Z", "app",
     {"message": '203.0.113.7, 10.0.0.1 - - "GET /"', "labels": {"caller": "203.0.113.7"}}),
    ('www.x.de 203.0.113.7 - - [20/Nov/2026:10:00:00 +0000] "GET /"', "2026-11-20T10:00:00.000Z", "www.x.de",
     {"host": "www.x.de", "labels": {"caller": "203.0.113.7"}}),
    ('203.0.113.7 - - [2026-11-20T10:00:00+00:00] "GET /"', "2026-11-20T10:00:00.000Z", "app",
     {"labels": {"caller": "203.0.113.7"}}),
    ("owner bucket [20/Nov/2026:10:00:00 +0000] 203.0.113.7 REST.GET", "2026-11-20T10:00:00.000Z", "app",
     {"message": "owner bucket 203.0.113.7 REST.GET"}),
    ("2026-11-20 10:00:00 [WARN] ERROR counts first", "2026-11-20T10:00:00.000Z", "app",
     {"level": "WARN", "message": "ERROR counts first"}),
    ("[2026-11-20T10:00:00.123+0000][12.5s][debug][gc,heap] Eden regions: 24", "2026-11-20T10:00:00.123Z", "app",
     {"level": "debug", "logger": "gc,heap", "labels": {"uptime": "12.5s"}, "message": "Eden regions: 24"}),
    ("2026-11-20T10:00:00.123+0000 E STORAGE  [conn12] full", "2026-11-20T10:00:00.123Z", "app",
     {"level": "E", "logger": "STORAGE", "thread": "conn12", "message": "full"}),
    ('2026-11-20 10:00:00.123 UTC,"shop",,77,,65a1.4d,1,"SELECT",2026-11-20 09:59:00 UTC,3/12,0,ERROR,42P01,"no x",',
     "2026-11-20T10:00:00.123Z", "app", {"level": "ERROR", "pid": 77, "message": '"no x",'}),
    ('10.0.0.1:5000 [20/Nov/2026:10:00:00.123] fe be/s1 "GET /"', "2026-11-20T10:00:00.123Z", "app",
     {"message": '10.0.0.1:5000 fe be/s1 "GET /"', "labels": {"caller": "10.0.0.1"}}),
    ("# Time: 2026-11-20T10:00:00.123456Z", "2026-11-20T10:00:00.123456Z", "app", {}),
    ("=ERROR REPORT==== 20-Nov-2026::10:00:00.123456 ===", "2026-11-20T10:00:00.123456Z", "app", {"level": "ERROR"}),
    ("=CRASH REPORT==== 20-Nov-2026::10:00:00 ===", "2026-11-20T10:00:00.000Z", "app", {"level": None}),
    ("Nov 20, 2026 12:00:01 AM com.x.Y start", "2026-11-20T00:00:01.000Z", "app",
     {"logger": "com.x.Y", "labels": {"method": "start"}}),
    ("2026-11-20 10:00:00,123 - util.py[WARNING]: slow", "2026-11-20T10:00:00.123Z", "app",
     {"level": "WARNING", "logger": "util.py", "message": "slow"}),
    ("[2026-11-20T10:00:00.123+0000] {task.py:12} ERROR - failed", "2026-11-20T10:00:00.123Z", "app",
     {"level": "ERROR", "logger": "task.py:12", "message": "failed"}),
    ("[1795168800] unbound[12:0] error: bad", "2026-11-20T10:00:00.000Z", "unbound",
     {"level": "error", "pid": 12, "message": "bad"}),
    ("[1795168800] SERVICE ALERT: down", "2026-11-20T10:00:00.000Z", "app", {"message": "SERVICE ALERT: down"}),
    ("20.11.2026 10:00:00 ERROR zu", "2026-11-20T10:00:00.000Z", "app", {"level": "ERROR", "message": "zu"}),
    ("20.11.2026 10:00:00 zu", "2026-11-20T10:00:00.000Z", "app", {"level": None, "message": "zu"}),
    ("2026-11-20  9:00:00 0 [Note] ready", "2026-11-20T09:00:00.000Z", "app",
     {"level": "Note", "thread": "0", "message": "ready"}),
    ("2026-11-20T10:00:00.123456+00:00", "2026-11-20T10:00:00.123456Z", "app",
     {"message": "2026-11-20T10:00:00.123456+00:00"}),
]  # fmt: skip


@pytest.fixture(scope="module")
def checker() -> Checker:
    return Checker(load())


def file_of(name: str = "/logs/app.log", **options: Any) -> LogFile:
    return LogFile(Path(name), written_ns=WRITTEN, host="here", **options)


@pytest.mark.parametrize(("line", "moment", "entity", "data"), LINES, ids=[line[:30] for line, *_ in LINES])
def test_a_line_becomes_an_event(checker: Checker, line: str, moment: str, entity: str, data: dict[str, Any]) -> None:
    [raw] = file_of().events([line.encode() + b"\n"])
    value = orjson.loads(raw)
    assert (value["time"], value["subject"]) == (moment, entity)
    assert {name: value["data"].get(name) for name in data} == data
    checker.at_ingress(raw, publisher="app", door="http", now_ns=WRITTEN)


def test_a_line_keeps_its_place_and_its_identity() -> None:
    lines = [b"2026-11-20 10:00:00 one\n", b"\n", b"2026-11-20 10:00:01 two\r\n"]
    first, second = (orjson.loads(raw) for raw in file_of().events(lines))
    assert (second["data"]["line"], second["data"]["offset"]) == (3, 25)
    assert second["data"]["message"] == "two"
    again = [orjson.loads(raw) for raw in file_of().events(lines)]
    assert [first, second] == again
    other = [orjson.loads(raw) for raw in file_of("/logs/other.log").events(lines)]
    assert other[0]["source"] != first["source"]


def test_a_rotated_file_gives_other_events_at_the_same_place() -> None:
    [old] = file_of().events([b"no time here"])
    [new] = file_of().events([b"none here either"])
    assert orjson.loads(old)["id"] != orjson.loads(new)["id"]


def test_a_stack_trace_stays_with_its_line() -> None:
    trace = ["ERROR [main] 2026-11-20 10:00:00,000 X.java:1 - failed", "java.lang.IllegalStateException: no",
             "\tat a.B.c(B.java:1)", "Caused by: d",
             "INFO  [main] 2026-11-20 10:00:01,000 X.java:1 - next"]  # fmt: skip
    first, second = (orjson.loads(raw) for raw in file_of().events(f"{line}\n".encode() for line in trace))
    assert first["data"]["message"] == "\n".join(["failed", *trace[1:4]])
    assert second["data"]["message"] == "next"


def test_a_line_without_a_time_has_that_of_the_line_before() -> None:
    _, second = file_of().events([b"2026-11-20 10:00:00 one", b"two"])
    assert orjson.loads(second)["time"] == "2026-11-20T10:00:00.000Z"


def test_times_without_a_zone_are_in_the_zone_given() -> None:
    [raw] = file_of(zone=timezone(timedelta(hours=2))).events([b"2026-11-20 10:00:00 one"])
    assert orjson.loads(raw)["time"] == "2026-11-20T08:00:00.000Z"


def test_a_cloudtrail_record_is_data_as_it_is(checker: Checker) -> None:
    record = b'{"eventSource":"s3.amazonaws.com","eventName":"Get","eventTime":"2026-11-20T10:00:00Z","eventID":"e-1"}'
    [raw] = file_of().events([record])
    assert raw.endswith(b'"data":' + record + b"}")
    event = checker.at_ingress(raw, publisher="app", door="http", now_ns=WRITTEN)
    assert (event.type.type, event.entity, event.value["id"]) == ("cloud.audit.v1", "s3.amazonaws.com", "e-1")


def test_a_cloudevent_is_passed_on_as_it_is() -> None:
    line = b'{"specversion":"1.0", "id":"1","source":"s","type":"log.line.v1","time":"2026-01-01T00:00:00Z","data":{}}'
    assert list(file_of().events([line])) == [line]


@pytest.mark.parametrize("time", ["", '"time":null,'])
def test_a_cloudevent_without_a_time_is_stamped_the_same_each_time(time: str) -> None:
    line = b'{%s"specversion":"1.0","id":"1","source":"s","type":"metric.sample.v1","data":{}}' % time.encode()
    [first], [second] = (list(file_of("/logs/stamped.jsonl").events([line])) for _ in range(2))
    assert first == second
    assert orjson.loads(first)["time"] == "2026-11-21T00:00:00.000Z"


def test_long_and_broken_lines_still_become_events(checker: Checker) -> None:
    lines = [b"x" * 100_000, b"\xff\xfe\x00 bytes", b'{"not": json', b'{"host":"' + b"h" * 999 + b'","msg":""}']
    found = [checker.at_ingress(raw, publisher="app", door="http", now_ns=WRITTEN) for raw in file_of().events(lines)]
    assert [event.type.type for event in found] == ["log.line.v1"] * len(lines)
    assert len({event.key for event in found}) == len(lines)
    assert all(event.value["data"]["message"] for event in found[:3])


def test_the_log_files_of_twelve_systems_are_parsed(checker: Checker) -> None:
    folder = data_folder() / "loghub"
    if not folder.is_dir():
        pytest.skip("PENSTOCK_DATA names no folder with loghub/")
    files = sorted(folder.glob("*.log"))
    assert len(files) == 12
    for path in files:
        formats: Counter[str] = Counter()
        written = path.stat().st_mtime_ns
        log = LogFile(path, written_ns=written)
        keys = set()
        with path.open("rb") as lines:
            for raw in log.events(lines):
                event = checker.at_ingress(raw, publisher="app", door="http", now_ns=max(written, time.time_ns()))
                formats["timed" if event.time_ns != written else "untimed"] += 1
                keys.add(event.key)
        assert formats["timed"] >= 0.99 * formats.total(), path.name
        assert len(keys) == formats.total(), path.name
