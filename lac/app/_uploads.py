"""Videos that are sent to the server: limited, counted while they come, and checked by decoding."""

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request
from starlette.concurrency import run_in_threadpool

from lac.app._lane import TaskError
from lac.app._models import Problem, VideoAnswer
from lac.app._state import State
from lac.app._videos import video_answer
from lac.data.video.files import SUFFIXES

FOLDER = "uploads"
PATH = "/api/uploads"
_AT_ONCE = 2  # uploads
_LEFT = 1 << 30  # bytes that stay free on the disk
_NAME = 200  # bytes of a name at most


def upload_routes(state: State, *, limit: int) -> APIRouter:
    """Return the route that takes videos of at most so many bytes."""
    router = APIRouter(tags=["videos"])
    coming = threading.BoundedSemaphore(_AT_ONCE)

    @router.post(
        PATH,
        status_code=201,
        responses={code: {"model": Problem} for code in (403, 413, 422, 429, 507)},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
                },
            }
        },
    )
    async def upload(request: Request, name: str) -> VideoAnswer:
        """Add a video to the folder `uploads`; the body is the file, `name` what it is called.

        It is there once its first frames could be decoded, and not before.
        """
        _require_name(name)
        length = int(request.headers.get("content-length", "0"))
        if length > limit:
            raise _too_large(limit)
        if shutil.disk_usage(state.library.root).free < length + _LEFT:
            raise HTTPException(507, "there is not enough room on the disk")
        if not coming.acquire(blocking=False):
            raise HTTPException(429, f"at most {_AT_ONCE} videos can be sent at once")
        try:
            with _unfinished(state.library.root, name) as file:
                await _receive(request, file, limit)
                await run_in_threadpool(_require_video, state, file)
                placed = await run_in_threadpool(_place, file, state.library.root / FOLDER)
        finally:
            coming.release()
        video = next(video for video in state.library.videos(fresh=True) if video.path == placed)
        return video_answer(state, video)

    return router


def _require_name(name: str) -> None:
    """Refuse names that are no names of files, or of files that are no videos."""
    if Path(name).suffix.lower() not in SUFFIXES:
        raise HTTPException(422, f"`name` must end in one of {', '.join(SUFFIXES)}")
    wrong = (
        name.startswith(".")
        or any(letter in '/\\:*?"<>|' or not letter.isprintable() for letter in name)
        or len(os.fsencode(name)) > _NAME
    )
    if wrong:
        raise HTTPException(
            422, f"`name` must be the name of a file, of at most {_NAME} bytes, got {name!r}"
        )


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"a video must have at most {limit} bytes", {"Connection": "close"})


@contextmanager
def _unfinished(root: Path, name: str) -> Iterator[Path]:
    """Yield where to write a video of a name until it is whole, in a hidden folder."""
    try:
        (root / FOLDER).mkdir(exist_ok=True)
        beside = tempfile.TemporaryDirectory(dir=root / FOLDER, prefix=".part-")
    except OSError as error:
        raise HTTPException(403, f"the folder cannot be written to: {error.strerror}") from None
    with beside as folder:
        yield Path(folder, name)


async def _receive(request: Request, file: Path, limit: int) -> None:
    """Write a body to a file, and stop where it is too large."""
    received = 0
    with file.open("xb") as stream:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                raise _too_large(limit)
            await run_in_threadpool(stream.write, chunk)


def _require_video(state: State, file: Path) -> None:
    """Refuse a file whose first frames cannot be decoded."""
    try:
        state.media.call("check", {"path": str(file)})
    except TaskError as error:
        raise HTTPException(422, str(error).replace(str(file), file.name)) from None


def _place(file: Path, folder: Path) -> Path:
    """Move a file to a folder under its name, or under the first with a number that is free."""
    for number in range(1, 1000):
        name = file.name if number == 1 else f"{file.stem}-{number}{file.suffix}"
        try:
            os.link(file, folder / name)
        except FileExistsError:
            continue
        return (folder / name).resolve()
    raise HTTPException(422, f"`name` must be a new one, got {file.name!r}")
