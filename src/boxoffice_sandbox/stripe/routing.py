"""The table of endpoints: which function answers which request, and what it accepts."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from boxoffice_sandbox.params import EXPAND, Shape

Json = dict[str, Any]
Run = Callable[..., Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint; `run(scope, params, **path_ids)` returns the object to answer.

    `publishable` ones also take a publishable key.
    """

    method: str
    path: str
    run: Run
    params: Mapping[str, Shape] = field(default_factory=dict)
    publishable: bool = False

    def shapes(self) -> Mapping[str, Shape]:
        """Return all parameters: every endpoint takes `expand`."""
        return {**self.params, "expand": EXPAND}


class Router:
    """Finds the endpoint of a request."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        """Take the endpoints; fixed paths win over those with ids in them."""
        self._patterns = [
            (re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", endpoint.path)), endpoint)
            for endpoint in sorted(endpoints, key=lambda endpoint: "{" in endpoint.path)
        ]

    def match(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """Return the endpoint and the ids in the path."""
        for pattern, endpoint in self._patterns:
            found = pattern.fullmatch(path)
            if found is not None and endpoint.method == method:
                return endpoint, found.groupdict()
        return None
