"""Onto a stream: group commits, pipelined publishes, and receipts from the workers."""

from penstock.publish.group_commit import FEW, Committer
from penstock.publish.pipelined import publish_singly
from penstock.publish.receipts import REPLY_TO, Ticket, Waiting
from penstock.publish.submission import Outgoing, Result, Submission

__all__ = ["FEW", "REPLY_TO", "Committer", "Outgoing", "Result", "Submission", "Ticket", "Waiting", "publish_singly"]
