"""The application: routes, the page, and who may ask for them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles

import fastsw
from lac.app import _uploads
from lac.app._align_routes import align_routes
from lac.app._check_routes import check_routes
from lac.app._encoders import encoder_routes
from lac.app._find_routes import find_routes
from lac.app._guard import Access, Guard
from lac.app._job_routes import job_routes
from lac.app._jobs import TooManyJobs
from lac.app._label_routes import label_routes
from lac.app._state import State
from lac.app._train_routes import train_routes
from lac.app._uploads import upload_routes
from lac.app._videos import video_routes

UPLOAD_LIMIT = 1000  # megabytes
_ABOUT = """\
Videos of a folder: what of one another shows, and where. Videos go by their ids, which
`GET /api/videos` lists.
What takes long is a job: it is answered with at once, and `GET /api/jobs/{id}` says how far it is.
"""


def create_app(
    root: str | Path,
    *,
    access: Access,
    cache: str | Path | None = None,
    runs: Sequence[str | Path] = (),
    upload_limit: int = UPLOAD_LIMIT,
) -> FastAPI:
    """Return the application that serves a folder of videos.

    Parameters
    ----------
    root : str or path
        The folder. No file outside of it is read, but for the cache.
    access : Access
        By which name and at which port it is asked, and with which token.
    cache : str or path, optional
        Where jobs, embeddings and transcoded videos are kept; the user's cache folder if absent.
    runs : sequence of str or path
        Run directories of `lac.train` to embed videos with. Their configurations name code, which
        is imported: give none that you do not trust.
    upload_limit : int
        Megabytes of an upload at most; with 0 none is taken.

    Returns
    -------
    FastAPI
        Its processes end with its lifespan, but for trainings.

    Raises
    ------
    FileNotFoundError
        If `root` is no folder.
    BlockingIOError
        If the folder is served already.
    """
    state = State(
        Path(root), cache=None if cache is None else Path(cache), runs=[Path(run) for run in runs]
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        state.close()

    app = FastAPI(
        title="lac",
        version=fastsw.__version__,
        description=_ABOUT,
        docs_url=None,  # FastAPI's pages load scripts of others
        redoc_url=None,
        lifespan=lifespan,
    )
    limit = upload_limit * 1_000_000
    app.include_router(video_routes(state, upload_limit=limit))
    app.include_router(job_routes(state))
    app.include_router(encoder_routes(state))
    app.include_router(align_routes(state))
    app.include_router(check_routes(state))
    app.include_router(find_routes(state))
    app.include_router(label_routes(state))
    app.include_router(train_routes(state))
    if limit:
        app.include_router(upload_routes(state, limit=limit))
    app.add_exception_handler(TooManyJobs, _too_many)
    app.add_exception_handler(RequestValidationError, _wrong)
    _add_pages(app)
    app.add_middleware(Guard, access=access, unbounded=(_uploads.PATH,))
    return app


async def _too_many(_: Request, error: Exception) -> Response:
    """Answer to a job that cannot be queued."""
    return JSONResponse({"detail": str(error)}, 429)


async def _wrong(_: Request, error: Exception) -> Response:
    """Answer to a request that is not as its model says; what was sent may be no JSON (NaN)."""
    assert isinstance(error, RequestValidationError)
    told = [{key: one[key] for key in ("type", "loc", "msg")} for one in error.errors()]
    return JSONResponse({"detail": told}, 422)


def _add_pages(app: FastAPI) -> None:
    """Add the page, the documentation of the API, and what they are made of."""
    static = Path(str(files("lac.app").joinpath("static")))
    pictures = Path(str(files("lac.pictures")))

    def page(path: str, file: Path) -> Callable[[], Response]:
        @app.get(path, include_in_schema=False)
        def get_page() -> Response:
            return FileResponse(file, headers={"Cache-Control": "no-cache"})

        return get_page

    page("/", static / "index.html")
    page("/docs", static / "docs.html")
    for name in ("dom.js", "view.js", "view.css", "check.js", "check.css"):
        page(f"/pictures/{name}", pictures / name)
    app.mount("/static", _Static(directory=static), name="static")


class _Static(StaticFiles):
    """Files that browsers ask for again, as the next version has others of the same name."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Answer with a file."""
        response: Response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "no-cache"
        return response
