"""/docs: /openapi.json, shown by Swagger UI from this process, so that the page needs no other host.

The assets come with the package fastapi-offline; FastAPI's own pages would take them from a CDN.
"""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response

PAGE = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Penstock</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
START = b"""SwaggerUIBundle({
  url: "openapi.json", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: false, validatorUrl: null,
  presets: [SwaggerUIBundle.presets.apis], layout: "BaseLayout"
});
"""
# Nothing from elsewhere, and no way into a frame of somebody else: the page takes credentials. Swagger UI sets styles.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "referrer-policy": "no-referrer"}
_KEPT = {**_HEADERS, "cache-control": "public, max-age=86400"}


def router() -> APIRouter:
    """The page and its three assets."""
    routes = APIRouter(include_in_schema=False)
    static = files("fastapi_offline") / "static"
    bundle, styles = (static / "swagger-ui-bundle.js").read_bytes(), (static / "swagger-ui.css").read_bytes()

    @routes.get("/docs")
    async def page() -> Response:
        return Response(PAGE, media_type="text/html", headers=_HEADERS)

    @routes.get("/docs/swagger-ui-bundle.js")
    async def script() -> Response:
        return Response(bundle, media_type="text/javascript", headers=_KEPT)

    @routes.get("/docs/swagger-ui.css")
    async def style() -> Response:
        return Response(styles, media_type="text/css", headers=_KEPT)

    @routes.get("/docs/start.js")
    async def start() -> Response:
        return Response(START, media_type="text/javascript", headers=_KEPT)

    return routes
