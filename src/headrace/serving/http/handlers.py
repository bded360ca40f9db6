"""Handlers of vector and prediction requests, independent of the web framework."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from headrace.core.clock import now_us
from headrace.serving.http.body import VectorRequest
from headrace.serving.http.errors import HttpError
from headrace.serving.http.log_writer import LogWriter
from headrace.serving.http.scorer import Scorer
from headrace.serving.log import Entry
from headrace.serving.request import RequestSchema
from headrace.serving.vectors import Frontier, Vectors


class Service(Protocol):
    """Interface of a feature service, from tables or an online store, that the endpoint uses."""

    @property
    def schema(self) -> RequestSchema: ...

    @property
    def definition(self) -> str: ...

    @property
    def definitions(self) -> dict[str, str]: ...

    def vectors(self, requests: Sequence[tuple[Mapping[str, object], int]]) -> Vectors: ...

    def frontier(self) -> Frontier: ...


@dataclass(frozen=True)
class ServiceAnswers:
    """Handlers of one service; `served` is called with the number of vectors in each answer."""

    service: Service
    scorer: Scorer | None = None
    writer: LogWriter | None = None
    served: Callable[[int], None] = field(default=lambda _: None)

    def vectors(self, request: VectorRequest) -> bytes:
        """Return the feature vectors as JSON.

        Raises:
            HttpError: 409: the client expects another definition.
            RequestError, StateError: see `FeatureService.vector`.
        """
        vectors = self._vectors(request)
        self._log(vectors)
        return self._answer(request, vectors, {"vectors": vectors.values})

    def predictions(self, request: VectorRequest) -> bytes:
        """Return the scores of the champion as JSON.

        Raises:
            DeclarationError: a view has another definition than when the model was trained.
            HttpError, RequestError, StateError: as for `vectors`, or there is no model.
        """
        if self.scorer is None:
            raise HttpError(
                404, "this endpoint has no model", fix="request features from /v1/vectors"
            )
        model = self.scorer.current(self.service.definitions)
        predictions = self._vectors(request)
        task = model.record.task
        scores = model.scores(predictions)
        outputs = [task.answer(score) for score in scores]
        self._log(predictions, model.name, list(map(task.score, scores)), outputs)
        taints = self.scorer.taints()
        marks = {"tainted": list(taints)} if taints else {}
        return self._answer(
            request, predictions, {"model": model.name, "predictions": outputs, **marks}
        )

    def _vectors(self, request: VectorRequest) -> Vectors:
        if request.definition not in {None, self.service.definition}:
            raise HttpError(
                409,
                f"the definition is {self.service.definition}, not {request.definition}",
                fix="release the dataset again and train on it, or serve the views of its release",
                field="definition",
            )
        return self.service.vectors(request.pairs)

    def _log(
        self,
        vectors: Vectors,
        model: str = "",
        scores: Sequence[float | None] = (),
        outputs: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Queue the vectors for the log before the answer is sent; raise if the queue is full."""
        if self.writer is not None:
            places = [i for i, key in enumerate(vectors.keys) if self.writer.takes(key)]
            now = now_us()
            self.writer.enqueue(
                [
                    Entry(
                        vectors[i],
                        model,
                        scores[i] if scores else None,
                        now,
                        outputs[i].get("probabilities") if outputs else None,
                    )
                    for i in places
                ]
            )
        self.served(len(vectors))

    def _answer(
        self, request: VectorRequest, vectors: Vectors, content: Mapping[str, Any]
    ) -> bytes:
        import orjson

        header: dict[str, Any] = {
            "t": request.at,
            "definition": self.service.definition,
            # Ids are text: a browser rounds whole numbers above 2^53.
            "frontier": {table: str(snapshot) for table, snapshot in vectors.frontier.items()},
        }
        if vectors.stale:
            header["stale"] = vectors.stale
        return orjson.dumps({**header, **content})
