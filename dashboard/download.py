"""The download route beside the pages: an export goes from disk to the browser, never whole through memory.

`GET /download/<token>` gives the one file of an export's folder; the folder's name cannot be guessed and is the token.
Streamlit's own download button would hold the file in the server's memory for as long as its page is open.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from core import workbench
from core.errors import WorkbenchError
from dashboard.upload import Refused, check_same_site

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox",  # never a page of ours, whatever a browser makes of it
}


async def _answer(request: Request) -> Response:
    try:
        check_same_site(request)
        path = workbench.exported(request.path_params["token"])
    except Refused as refused:
        return JSONResponse({"error": str(refused)}, status_code=refused.status)
    except WorkbenchError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name, headers=HEADERS)


ROUTES = [Route("/download/{token}", _answer, methods=["GET"])]
"""Routes for `st.App`."""
