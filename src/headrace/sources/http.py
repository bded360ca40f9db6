"""A paginated JSON API that is read by following an opaque cursor."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from headrace.core.clock import now_us
from headrace.core.errors import SourceError
from headrace.sources.base import Delivery

if TYPE_CHECKING:
    import requests

# The last member of a page, found without parsing the megabyte before it: what precedes an
# unescaped quote here cannot be inside a string, so the closing brace is the page's own.
_NEXT_AT_END = re.compile(rb'(?<!\\)"next"\s*:\s*(null|"[^"\\]*")\s*\}\s*\Z')
_TAIL = 4096
_RETRIED = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class CursorApi:
    """Records of an HTTP API that answers `{"records": [...], "next": cursor or null}`.

    All pages of a slot are one delivery, one page a line. A slot without records has no delivery.
    Connections are kept open, and requests that failed for a temporary reason are repeated.

    Attributes:
        name: name of the source.
        url: scheme, host and port, such as `"http://127.0.0.1:8013"`.
        path: path of the endpoint, such as `"/v1/outcomes"`.
        slot_params: query parameters that choose a slot; `{slot}` in a value is replaced.
        producer: who runs the API.
        page_size: records a page, sent as `limit`. Another size makes other pages, hence
            another delivery of the same records.
        headers: sent with every request, such as an authorisation.
        timeout: seconds to connect, and seconds between bytes.
        retries: how often a request is repeated before the source counts as unreadable.
    """

    name: str
    url: str
    path: str
    slot_params: Mapping[str, str]
    producer: str
    page_size: int = 500
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: tuple[float, float] = (5.0, 60.0)
    retries: int = 4

    @property
    def endpoint(self) -> str:
        return self.url.rstrip("/") + "/" + self.path.lstrip("/")

    def deliveries(self, slot: str) -> list[Delivery]:
        """The one delivery that the API now holds for `slot`, or none.

        Raises:
            SourceError: no answer, an HTTP error, a page without a cursor, or a cursor that loops.
        """
        pages = list(self._pages(slot))
        if not any(map(_has_records, pages)):
            return []
        delivery = Delivery(
            source=self.name,
            slot=slot,
            payload=b"".join(page + b"\n" for page in pages),
            format="pages",
            origin=f"{self.endpoint}?{self._query(slot)}",
            arrived_at=now_us(),
            producer=self.producer,
        )
        return [delivery]

    def close(self) -> None:
        """Close the kept connections; the next request opens new ones."""
        session: requests.Session | None = self.__dict__.pop("_session", None)
        if session is not None:
            session.close()

    @cached_property
    def _session(self) -> "requests.Session":
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util.retry import Retry

        retry = Retry(
            total=self.retries,
            backoff_factor=0.2,
            status_forcelist=_RETRIED,
            allowed_methods=["GET"],
            raise_on_status=False,
        )
        session = requests.Session()
        session.trust_env = False  # no proxies or passwords taken from the surroundings
        session.headers.update(self.headers)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session

    def _pages(self, slot: str) -> Iterator[bytes]:
        cursors: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            body = self._get(slot, cursor)
            # Outside strings a line break is white space, inside it must be escaped: one line.
            yield body.strip().replace(b"\r", b" ").replace(b"\n", b" ")
            cursors.add(cursor)
            cursor = self._next(slot, body)
            if cursor in cursors:
                raise self._error(slot, f"the cursor {cursor!r} came back: the pages never end")

    def _get(self, slot: str, cursor: str) -> bytes:
        import requests

        params = {key: value.replace("{slot}", slot) for key, value in self.slot_params.items()}
        params["limit"] = str(self.page_size)
        if cursor:
            params["cursor"] = cursor
        try:
            answer = self._session.get(self.endpoint, params=params, timeout=self.timeout)
        except requests.RequestException as error:
            raise self._error(
                slot, f"no answer: {error}", fix="check that the service runs and the url is right"
            ) from error
        if answer.status_code != requests.codes.ok:
            text = f"HTTP {answer.status_code} {answer.reason}: {answer.text[:300]}"
            raise self._error(slot, text, fix=_advice(answer.status_code), url=answer.url)
        return answer.content

    def _next(self, slot: str, body: bytes) -> str | None:
        match = _NEXT_AT_END.search(body, max(0, len(body) - _TAIL))
        if match:
            value: object = json.loads(match[1])
        else:
            try:
                page = json.loads(body)
            except ValueError as error:
                raise self._error(slot, f"the answer is not JSON: {body[:200]!r}") from error
            value = page.get("next", 0) if isinstance(page, dict) else 0
        if value is None or (isinstance(value, str) and value):
            return value
        raise self._error(slot, 'the page has no "next" that is a cursor or null')

    def _query(self, slot: str) -> str:
        return "&".join(f"{k}={v.replace('{slot}', slot)}" for k, v in self.slot_params.items())

    def _error(self, slot: str, what: str, *, fix: str = "", url: str = "") -> SourceError:
        return SourceError(
            f"source {self.name}: {what}",
            where=f"{url or self.endpoint}, slot {slot}",
            fix=fix
            or 'the API must answer {"records": [...], "next": cursor or null}; ask its owner',
        )


def _advice(status: int) -> str:
    if status in (401, 403):
        return "give the source `headers` that the API accepts"
    if status in _RETRIED:
        return "the service is overloaded or down: run again later, nothing was recorded"
    return "compare `path`, `slot_params` and `page_size` with what the API documents"


def _has_records(page: bytes) -> bool:
    """False only for a page that says plainly that it is empty."""
    if len(page) > _TAIL:
        return True
    try:
        body = json.loads(page)
    except ValueError:
        return True
    return not isinstance(body, dict) or body.get("records") != []
