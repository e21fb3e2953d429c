"""What all settings are made of: secrets, addresses and numbers, read from text."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[^:\s]+):(?P<port>\d{1,5})")
_MOST_PORT = 65535


class SettingsError(Exception):
    """A variable that is not what it must be. The message names it and never shows a secret."""


class Secret:
    """A text that must not be seen by accident: only `reveal` shows it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Answer the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(…)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A host and port to listen on. Port 0 asks for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Tell whether only this machine can reach it."""
        host = self.host.strip("[]")
        if host == "localhost":
            return True
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    @property
    def to_call(self) -> "Address":
        """Tell where this machine calls who listens here: on loopback who listens everywhere."""
        local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 -- recognised, not bound
        return replace(self, host=local.get(self.host, self.host))


def read_address(environment: Mapping[str, str], name: str, default: str) -> Address:
    """Read a host and port, or raise SettingsError."""
    text = environment.get(name) or default
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _MOST_PORT:
        raise SettingsError(f"{name} must be host:port, such as {default}; it is {text!r}")
    return Address(host=match["host"], port=int(match["port"]))


def scheme_and_host(name: str, base: str) -> tuple[str, str]:
    """Read the scheme and host of an http or https address, or raise SettingsError."""
    try:
        parts = urlsplit(base)
        # Reading the port is what finds one that is none.
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        host = None
    if not host or parts.scheme not in {"http", "https"}:
        # It may hold a password, so it is not shown.
        raise SettingsError(f"{name} must be an http or https address")
    return parts.scheme, host


def read_number(
    environment: Mapping[str, str], name: str, default: str, unit: str, *, most: int
) -> float:
    """Read a number of these units from 0 to `most`, or raise SettingsError."""
    text = environment.get(name) or default
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise SettingsError(f"{name} must be {unit} from 0 to {most}; it is {text!r}")
    return number
