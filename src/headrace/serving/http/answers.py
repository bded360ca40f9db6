"""From what was asked to the bytes of the answer; nothing of the web in it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.clock import now_us
from headrace.serving.http.body import Asked
from headrace.serving.http.errors import HttpError
from headrace.serving.http.scorer import Scorer
from headrace.serving.http.writer import LogWriter
from headrace.serving.log import Entry
from headrace.serving.request import RequestSchema
from headrace.serving.vectors import Frontier, Vector

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode


class Service(Protocol):
    """What the endpoint needs of a feature service: over the tables, or over an online store."""

    @property
    def schema(self) -> RequestSchema: ...

    @property
    def definition(self) -> str: ...

    @property
    def definitions(self) -> dict[str, str]: ...

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Sequence[Vector]: ...

    def frontier(self) -> Frontier: ...


@dataclass(frozen=True)
class Answers:
    """Answers of one service. `served` is told of each answer's number of vectors."""

    service: Service
    scorer: Scorer | None = None
    writer: LogWriter | None = None
    served: Callable[[int], None] = field(default=lambda _: None)

    def vectors(self, asked: Asked) -> bytes:
        """Features.

        Raises:
            HttpError: 409, the client means another definition.
            RequestError, StateError: see `FeatureService.vector`.
        """
        found = self._vectors(asked)
        self._log([Entry(one, served_at=now_us()) for one in found])
        return self._answer(found, {"vectors": [one.values for one in found]})

    def predictions(self, asked: Asked) -> bytes:
        """Scores of the model in charge.

        Raises:
            DeclarationError: its features had another definition in training.
            HttpError, RequestError, StateError: as `vectors`, and where there is no model.
        """
        if self.scorer is None:
            raise HttpError(404, "this endpoint has no model", fix="ask /v1/vectors")
        model = self.scorer.current(self.service.definitions)
        found = self._vectors(asked)
        scores = model.scores(found)
        pairs = zip(found, scores, strict=True)
        self._log([Entry(one, model.name, score, now_us()) for one, score in pairs])
        given = [{"score": score} for score in scores]
        return self._answer(found, {"model": model.name, "predictions": given})

    def _vectors(self, asked: Asked) -> Sequence[Vector]:
        if asked.definition not in {None, self.service.definition}:
            raise HttpError(
                409,
                f"the features mean {self.service.definition}, not {asked.definition}",
                fix="release the dataset anew and train on it, or serve the views it was made with",
                field="definition",
            )
        return self.service.vectors(asked.pairs)

    def _log(self, entries: list[Entry]) -> None:
        """Before the answer goes out: what cannot be logged is not given."""
        if self.writer is not None:
            self.writer.put(entries)
        self.served(len(entries))

    def _answer(self, found: Sequence[Vector], more: Mapping[str, Any]) -> bytes:
        first = found[0]
        about = {"t": first.t, "definition": first.definition, "frontier": dict(first.frontier)}
        if stale := sorted({view for one in found for view in getattr(one, "stale", ())}):
            about["stale"] = stale
        return _encode({**about, **more}).encode()
