"""Contracts proposed from data: the first of a source, and the next version of a changed one.

`draft` gives the first, `revise` the next; `published` says what a table held before. Nothing here
writes over a contract, and nothing is in force until a person wrote `status: active`.
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
