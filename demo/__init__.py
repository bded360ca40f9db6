"""The outside world of this project's demonstrations: producers, their faults, and a feed.

It plays the parts of airport, registry and police. Pipelines read its deliveries and share no code
with it; `headrace demo` calls it through `Pipeline.make_deliveries`.
"""
