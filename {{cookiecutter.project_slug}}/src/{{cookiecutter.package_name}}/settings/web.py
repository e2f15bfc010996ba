"""Where the service listens, and whom it answers."""

from pydantic import Field, SecretStr

from ..errors import Problem
from .base import BasePart, CommaSeparated, secret_problem

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class WebSettings(BasePart):
    """The HTTP server and the limits of every request."""

    listen_host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    allowed_hosts: CommaSeparated = Field(
        (),
        description="Host names to answer to, by commas: api.example.com, *.example.com or *. "
        "Default: only this machine's own in production, any elsewhere.",
    )
    cors_origins: CommaSeparated = Field(
        (),
        description="Origins of web pages that may call, by commas: https://app.example.com",
    )
    trusted_proxies: CommaSeparated = Field(
        (),
        description="Proxies whose X-Forwarded-For is believed, addresses or networks, by commas: "
        "10.0.0.0/8",
    )
    max_body_bytes: int = Field(1_048_576, ge=1, description="Largest request body, bytes.")
    docs_enabled: bool | None = Field(
        None, description="Serve /docs and /openapi.json. Default: not in production."
    )
    admin_key: SecretStr | None = Field(
        None,
        description="Key that administrators send as X-Admin-Key. "
        "Administration is off while it is empty.",
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """ALLOWED_HOSTS or its default."""
        return self.allowed_hosts or (LOCAL_HOSTS if self.in_production else ("*",))

    @property
    def serves_docs(self) -> bool:
        """DOCS_ENABLED or its default."""
        return not self.in_production if self.docs_enabled is None else self.docs_enabled

    def problems(self, *, serving: bool = True) -> list[Problem]:
        """Adds: a weak ADMIN_KEY, CORS for everybody."""
        found = super().problems(serving=serving)
        if not serving:
            return found
        if self.admin_key is not None:
            weak = secret_problem(
                "ADMIN_KEY", self.admin_key, "Whoever guesses it governs every account."
            )
            found += [weak] if weak else []
        if "*" in self.cors_origins:
            found.append(
                Problem(
                    "CORS_ORIGINS is *.",
                    "Every web page may call the service from its visitors' browsers.",
                    "Name the pages that need it: CORS_ORIGINS=https://app.example.com",
                )
            )
        return found
