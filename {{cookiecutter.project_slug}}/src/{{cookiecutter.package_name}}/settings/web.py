"""The address that the service listens on, the clients that it answers, and their limits."""

from pydantic import Field, SecretStr

from ..errors import ActionableError
from . import errors
from .base import BasePart, CommaSeparated, Seconds, fault_of_secret

LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")


class WebSettings(BasePart):
    """The HTTP server and the limits of every request."""

    listen_host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port to listen on.")
    allowed_hosts: CommaSeparated = Field(
        (),
        description="Host names to accept, separated by commas: api.example.com, *.example.com or "
        "*. Default: only this machine's own names in production, otherwise all.",
    )
    cors_origins: CommaSeparated = Field(
        (),
        description="Origins of web pages that may call the service, separated by commas: "
        "https://app.example.com",
    )
    trusted_proxies: CommaSeparated = Field(
        (),
        description="Proxies whose X-Forwarded-For is trusted: addresses or networks, separated by "
        "commas: 10.0.0.0/8",
    )
    max_body_bytes: int = Field(
        1_048_576,
        ge=1,
        description="Largest request body, bytes. Forms without files: at most 65536.",
    )
    max_waiting_requests: int = Field(
        1000,
        ge=0,
        description="Maximum number of requests that wait for the database; more get 503.",
    )
    client_timeout: Seconds = Field(
        20,
        gt=0,
        description="Seconds that a client may take to send a request, or to receive the answer.",
    )
    shutdown_timeout: Seconds = Field(
        15,
        ge=2,
        description="Seconds after SIGTERM for running requests to finish; then the process ends.",
    )
    docs_enabled: bool | None = Field(
        None, description="Serve /docs and /openapi.json. Default: not in production."
    )
    admin_key: SecretStr | None = Field(
        None,
        description="Key that administrators send as X-Admin-Key. "
        "If empty, administration over HTTP is off.",
    )

    @property
    def hosts(self) -> tuple[str, ...]:
        """ALLOWED_HOSTS or its default."""
        return self.allowed_hosts or (LOCAL_HOSTS if self.in_production else ("*",))

    @property
    def serves_docs(self) -> bool:
        """DOCS_ENABLED or its default."""
        return not self.in_production if self.docs_enabled is None else self.docs_enabled

    @property
    def own_address(self) -> str:
        """The service's URL on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen_host, self.listen_host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def problems(self, *, serving: bool = True) -> list[ActionableError]:
        """Adds: a weak ADMIN_KEY, CORS for all origins."""
        found = super().problems(serving=serving)
        if not serving:
            return found
        if self.admin_key is not None and (fault := fault_of_secret(self.admin_key)):
            found.append(errors.admin_key_unsafe(fault))
        if "*" in self.cors_origins:
            found.append(errors.cors_open_to_all())
        return found
