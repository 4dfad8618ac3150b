"""The routes of videos: the list, the files, and making them playable."""

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from lac.app._job_routes import job_answer
from lac.app._library import Video
from lac.app._models import JobAnswer, Problem, VideoAnswer, VideoFacts, VideosAnswer
from lac.app._state import State

_KINDS = {".webm": "video/webm"}


def find_video(state: State, identity: str) -> Video:
    """Return the video of an id; raises 404 if there is none."""
    try:
        return state.library.find(identity)
    except KeyError:
        raise HTTPException(404, f"no video {identity[:32]!r} in this folder") from None


def usable_videos(state: State) -> list[Video]:
    """Return the videos of the folder against which nothing is known."""
    known = [(video, state.known(video)) for video in state.library.videos()]
    return [video for video, told in known if told is None or told.problem is None]


def video_answer(state: State, video: Video) -> VideoAnswer:
    """Return what is known of a video."""
    known = state.known(video)
    return VideoAnswer(
        id=video.id,
        name=video.name,
        bytes=video.size,
        facts=VideoFacts(**known.facts) if known and known.facts else None,
        problem=known.problem if known else None,
        prepared=state.prepared(video).exists(),
    )


def video_routes(state: State, *, upload_limit: int) -> APIRouter:
    """Return the routes of videos."""
    router = APIRouter(tags=["videos"])

    @router.get("/api/videos")
    def list_videos() -> VideosAnswer:
        """List the videos of the folder and of the folders in it."""
        return VideosAnswer(
            folder=state.library.root.name,
            videos=[video_answer(state, video) for video in state.library.videos()],
            upload_limit=upload_limit,
        )

    @router.get("/api/videos/{id}")
    def get_video(id: str) -> VideoAnswer:
        """Tell what is known of a video."""
        return video_answer(state, find_video(state, id))

    @router.get(
        "/api/videos/{id}/file",
        response_class=FileResponse,
        responses={
            404: {"model": Problem},
            409: {"model": Problem, "description": "It has to be prepared first"},
        },
    )
    def get_file(id: str, prepared: bool = False) -> FileResponse:
        """Send a video that browsers play, or a range of its bytes.

        It is the file itself where browsers play that, unless the prepared one is asked for.
        """
        video = find_video(state, id)
        film = state.prepared(video)
        if film.exists():
            return FileResponse(film, media_type="video/mp4")
        known = state.known(video)
        if prepared or known is None or known.facts is None or not known.facts["playable"]:
            raise HTTPException(409, f"{video.name} has to be prepared first")
        kind = _KINDS.get(video.path.suffix.lower(), "video/mp4")
        return FileResponse(video.path, media_type=kind)

    @router.post("/api/videos/{id}/prepare", status_code=202)
    def prepare(id: str) -> JobAnswer:
        """Begin to make a video playable; it is kept, so that this is done once."""
        return job_answer(state, state.prepare(find_video(state, id)))

    return router
