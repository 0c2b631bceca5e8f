"""Where runs go, and how to speak of that place without its password."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote

POSTGRES = "postgresql+psycopg://"

SECRETS = (
    re.compile(r"(https?://[^:/?#@\s]*:)([^/?#@\s]+)(?=@)"),
    # A database's password may hold a slash; what looks like it in a link is a port and a path.
    re.compile(r"((?<![\w+.-])(?!https?:)[\w+.-]+://[^:/?#@\s]*:)([^@\s]+)(?=@)"),
    re.compile(r"(?i)(\b\w*(?:password|token|secret)\w*=)([^&\s]+)"),
)
"""What stands before a password, and the password."""


@dataclass(frozen=True)
class Place:
    """A tracking URI, and the folder of artifacts for experiments made here.

    `postgres://` and `postgresql://` are spelled with their driver, psycopg 3.
    """

    uri: str = field(repr=False)
    artifacts: Path

    def __post_init__(self) -> None:
        for short in ("postgres://", "postgresql://"):
            if self.uri.startswith(short):
                object.__setattr__(self, "uri", POSTGRES + self.uri.removeprefix(short))

    @property
    def shown(self) -> str:
        """The URI as it may be printed."""
        return without_secrets(self.uri)

    @property
    def is_server(self) -> bool:
        """Whether an MLflow server stands before the database."""
        return self.uri.startswith(("http://", "https://"))

    def hide(self, error: object) -> str:
        """An error's first line, without this place's password in any spelling."""
        shown = next(iter(str(error).strip().splitlines()), type(error).__name__)
        for secret in sorted(_secrets(self.uri), key=len, reverse=True):
            if len(secret) > 3:  # a shorter one would blot out words; the patterns find it in URIs
                shown = shown.replace(secret, "***")
        return without_secrets(shown)


def without_secrets(text: str) -> str:
    """A text whose URIs show no password.

    >>> without_secrets("postgresql+psycopg://ann:secret@db/mlflow is away")
    'postgresql+psycopg://ann:***@db/mlflow is away'
    """
    for pattern in SECRETS:
        text = pattern.sub(r"\1***", text)
    return text


def _secrets(uri: str) -> set[str]:
    """The password as it is written, and as it is meant."""
    found = [match[2] for pattern in SECRETS for match in pattern.finditer(uri)]
    return {
        spelling for secret in found for spelling in (secret, unquote(secret), quote(secret, ""))
    }
