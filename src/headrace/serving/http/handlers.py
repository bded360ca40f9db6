"""From what was asked to the bytes of the answer; nothing of the web in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.core.clock import now_us
from headrace.serving.http.body import Asked
from headrace.serving.http.errors import HttpError
from headrace.serving.http.log_writer import LogWriter
from headrace.serving.http.scorer import Scorer
from headrace.serving.log import Entry
from headrace.serving.request import RequestSchema
from headrace.serving.vectors import Frontier, Vectors


class Service(Protocol):
    """What the endpoint needs of a feature service: over the tables, or over an online store."""

    @property
    def schema(self) -> RequestSchema: ...

    @property
    def definition(self) -> str: ...

    @property
    def definitions(self) -> dict[str, str]: ...

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Vectors: ...

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
        vectors = self._vectors(asked)
        self._log(vectors)
        return self._answer(asked, vectors, {"vectors": vectors.values})

    def predictions(self, asked: Asked) -> bytes:
        """Scores of the model in charge.

        Raises:
            DeclarationError: its features had another definition in training.
            HttpError, RequestError, StateError: as `vectors`, and where there is no model.
        """
        if self.scorer is None:
            raise HttpError(404, "this endpoint has no model", fix="ask /v1/vectors")
        model = self.scorer.current(self.service.definitions)
        predictions = self._vectors(asked)
        scores = model.scores(predictions)
        self._log(predictions, model.name, scores)
        given = [{"score": score} for score in scores]
        taints = self.scorer.taints()
        marks = {"tainted": list(taints)} if taints else {}
        return self._answer(
            asked, predictions, {"model": model.name, "predictions": given, **marks}
        )

    def _vectors(self, asked: Asked) -> Vectors:
        if asked.definition not in {None, self.service.definition}:
            raise HttpError(
                409,
                f"the features mean {self.service.definition}, not {asked.definition}",
                fix="release the dataset anew and train on it, or serve the views it was made with",
                field="definition",
            )
        return self.service.vectors(asked.pairs)

    def _log(self, found: Vectors, model: str = "", scores: Sequence[float] | None = None) -> None:
        """Before the answer goes out: what cannot be logged is not given."""
        if self.writer is not None:
            places = [i for i, key in enumerate(found.keys) if self.writer.takes(key)]
            now = now_us()
            self.writer.put(
                [Entry(found[i], model, scores[i] if scores else None, now) for i in places]
            )
        self.served(len(found))

    def _answer(self, asked: Asked, found: Vectors, more: Mapping[str, Any]) -> bytes:
        import orjson

        about: dict[str, Any] = {
            "t": asked.at,
            "definition": self.service.definition,
            # Ids are text: a browser rounds whole numbers above 2^53.
            "frontier": {table: str(snapshot) for table, snapshot in found.frontier.items()},
        }
        if found.stale:
            about["stale"] = found.stale
        return orjson.dumps({**about, **more})
