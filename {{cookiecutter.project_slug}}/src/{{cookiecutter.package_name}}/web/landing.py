"""Pages for development: a start page with links and the sent mails, and the pages of these mails.

Outside development a front end has the pages for mailed links, and ``/`` is not found.
"""

import base64
import hashlib
import json
from html import escape

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from ..mail import LogMailer
from .request_database import BINDING_HEADERS

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
li { overflow-wrap: anywhere }
"""

# Sends the token of the link to the form's address, and the link's other values as headers.
SCRIPT = """
const form = document.querySelector("form")
const link = new URLSearchParams(location.hash.slice(1))
form.addEventListener("submit", async (event) => {
  event.preventDefault()
  const headers = { "Content-Type": "application/json" }
  for (const [claim, header] of Object.entries(JSON.parse(form.dataset.headers)))
    if (link.has(claim)) headers[header] = link.get(claim)
  const body = { token: link.get("token") ?? "", ...Object.fromEntries(new FormData(form)) }
  const sent = { method: "POST", headers, body: JSON.stringify(body) }
  const answer = await fetch(form.getAttribute("action"), sent)
  const reply = await answer.json()
  const faults = (reply.errors ?? []).map((fault) => `${fault.where}: ${fault.problem}`)
  const text = reply.message ?? [reply.problem, ...faults, reply.solution].join(" ")
  document.querySelector("output").textContent = text
})
"""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style>
<h1>{title}</h1>
{body}
"""

FORM = """<form action="{action}" data-headers="{headers}">{fields}<button>{button}</button></form>
<p><output></output></p>
<script>{script}</script>"""

CHOSEN_PASSWORD = (
    '<p><label>The password you chose <input name="password" type="password" '
    'autocomplete="current-password" required></label></p>'
)
NEW_PASSWORD = (
    '<p><label>New password <input name="password" type="password" autocomplete="new-password" '
    "required></label></p>"
)


def _source(text: str) -> str:
    """The source of this inline style or script for a Content-Security-Policy."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


POLICY = (
    f"default-src 'none'; style-src {_source(STYLE)}; script-src {_source(SCRIPT)}; "
    "connect-src 'self'; form-action 'none'; frame-ancestors 'none'"
)


def add_landing_pages(app: FastAPI) -> None:
    """Serve ``/``, ``/verify-email`` and ``/reset-password``."""

    @app.get("/", include_in_schema=False)
    def landing(request: Request) -> HTMLResponse:
        mailer = request.app.state.mailer
        mails = _mails(mailer) if isinstance(mailer, LogMailer) else ""
        docs = '<li><a href="docs">The API</a></li>' if app.state.settings.serves_docs else ""
        settings = app.state.settings
        operations = "<li>Migrations, at /operations: set ADMIN_KEY first</li>"
        if settings.admin_key is not None:
            operations = '<li><a href="operations">The state of the migrations</a></li>'
        metrics = '<li><a href="metrics">Metrics</a></li>' if settings.serves_metrics else ""
        links = (
            f'<ul>{docs}{operations}{metrics}<li><a href="health/ready">Readiness of the service</a></li>'
            '<li><a href="health/live">Liveness of the process</a></li></ul>'
        )
        return _page(app.title, links + mails)

    @app.get("/verify-email", include_in_schema=False)
    def verify_email() -> HTMLResponse:
        form = _form("auth/verify-email", CHOSEN_PASSWORD, "Confirm")
        return _page("Confirm your address", form)

    @app.get("/reset-password", include_in_schema=False)
    def reset_password() -> HTMLResponse:
        form = _form("auth/reset-password", NEW_PASSWORD, "Set this password")
        return _page("Choose a new password", form)


def _mails(mailer: LogMailer) -> str:
    rows = [
        f'<li>To {escape(mail.to)}: <a href="{escape(mail.link)}">{escape(mail.subject)}</a></li>'
        for mail in reversed(mailer.mails)
    ]
    sent = f"<ul>{''.join(rows)}</ul>" if rows else "<p>No mail was sent since the last start.</p>"
    return f"<h2>Mails</h2>{sent}"


def _form(action: str, fields: str, button: str) -> str:
    headers = escape(json.dumps(BINDING_HEADERS))
    return FORM.format(action=action, headers=headers, fields=fields, button=button, script=SCRIPT)


def _page(title: str, body: str) -> HTMLResponse:
    page = PAGE.format(title=escape(title), style=STYLE, body=body)
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})
