"""The page at ``/docs``. The service has all its files, so it works without the internet."""

import base64
import hashlib

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

ASSETS = "docs/assets"


def add_docs(app: FastAPI) -> None:
    """Serve Swagger UI and its assets, which the package fastapi-offline contains."""
    # URLs are relative to the page, so that a proxy may serve the service below a path.
    page = bytes(
        get_swagger_ui_html(
            openapi_url="openapi.json",
            title=app.title,
            swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{ASSETS}/swagger-ui.css",
            swagger_favicon_url=f"{ASSETS}/favicon.png",
        ).body
    ).decode()
    _, _, script = page.rpartition("<script>")
    digest = hashlib.sha256(script.partition("</script>")[0].encode()).digest()
    policy = (
        "default-src 'none'; connect-src 'self'; img-src 'self' data:; "
        "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; "
        f"script-src 'self' 'sha256-{base64.b64encode(digest).decode()}'"
    )

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    app.mount(f"/{ASSETS}", StaticFiles(packages=[("fastapi_offline", "static")]))
