"""Onto a stream: group commits, pipelined publishes, and receipts from the workers."""

from penstock.publish.group_commit import FEW, GroupCommitter
from penstock.publish.pipelined import publish_singly
from penstock.publish.receipts import REPLY_TO, Receipt, Receipts
from penstock.publish.submission import Outgoing, Result, Submission

__all__ = [
    "FEW",
    "REPLY_TO",
    "GroupCommitter",
    "Outgoing",
    "Receipt",
    "Receipts",
    "Result",
    "Submission",
    "publish_singly",
]
