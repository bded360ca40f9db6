"""Contracts proposed from data: the first contract of a source, and the next version of one.

`draft` proposes the first contract, `revise` the next version; `published` reads a table's earlier
rows and profiles. No contract file is overwritten, and a proposal takes effect only when a person
writes `status: active`.
"""

from headrace.scaffold.proposal.draft import Draft, SourceAnswers, draft
from headrace.scaffold.proposal.published import published
from headrace.scaffold.proposal.revise import Proposal, revise
from headrace.scaffold.proposal.sample import as_rows, read_sample

__all__ = [
    "Draft",
    "Proposal",
    "SourceAnswers",
    "as_rows",
    "draft",
    "published",
    "read_sample",
    "revise",
]
