"""Source for a paginated JSON API, read by following an opaque cursor."""

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

# Finds "next" as the last member of a page without parsing the whole page. The quotes are not
# escaped, so the match is not inside a string, and the closing brace is that of the page.
_NEXT_AT_END = re.compile(rb'(?<!\\)"next"\s*:\s*(null|"[^"\\]*")\s*\}\s*\Z')
_TAIL = 4096
_RETRIED = (429, 500, 502, 503, 504)


@dataclass(frozen=True)
class CursorApi:
    """Records of an HTTP API whose responses are `{"records": [...], "next": cursor or null}`.

    All pages of a partition form one delivery, one page per line; a partition without records has
    no delivery. Connections are kept open, and requests that fail temporarily are retried.

    Attributes:
        name: name of the source.
        url: scheme, host and port, such as `"http://127.0.0.1:8013"`.
        path: path of the endpoint, such as `"/v1/outcomes"`.
        slot_params: query parameters that select a partition; `{slot}` in a value is replaced.
        producer: team or system that runs the API.
        page_size: records per page, sent as `limit`. A different size gives different pages, and
            so a new delivery of the same records.
        headers: headers of every request, such as an authorisation.
        timeout: seconds to wait for a connection, and seconds to wait for data.
        retries: number of retries of a request before it counts as failed.
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
        """Return the API's current records for the partition `slot` as one delivery, or [].

        Raises:
            SourceError: if the API does not answer, returns an HTTP error or a page without
                "next", or repeats a cursor.
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
        """Close the open connections; the next request opens new ones."""
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
        session.trust_env = False  # ignore proxies from the environment and passwords from .netrc
        session.headers.update(self.headers)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retry))
        return session

    def _pages(self, slot: str) -> Iterator[bytes]:
        cursors: set[str] = set()
        cursor: str | None = ""
        while cursor is not None:
            body = self._get(slot, cursor)
            # JSON strings contain no raw line breaks, so each line break can become a space.
            yield body.strip().replace(b"\r", b" ").replace(b"\n", b" ")
            cursors.add(cursor)
            cursor = self._next(slot, body)
            if cursor in cursors:
                raise self._error(slot, f"cursor {cursor!r} occurs twice: the pages never end")

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
    """Return False only if the page is valid JSON with an empty list "records"."""
    if len(page) > _TAIL:
        return True
    try:
        body = json.loads(page)
    except ValueError:
        return True
    return not isinstance(body, dict) or body.get("records") != []
