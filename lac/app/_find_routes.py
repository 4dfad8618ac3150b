"""The route of finding: which moment or span of which video, and in which others."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import Field

from lac.app._models import EmbeddingRequest, JobAnswer, Problem, Seconds
from lac.app._state import State
from lac.app._submitting import MOST_OTHERS, other_videos, submit
from lac.app._videos import find_video


class FindRequest(EmbeddingRequest):
    """What to find, and where."""

    video: str = Field(description="Id of the video that shows it")
    begin: Seconds = Field(description="Seconds from its first frame")
    end: Seconds = Field(description="Likewise; of a moment the same as `begin`")
    others: Annotated[list[str], Field(max_length=MOST_OTHERS)] = Field(
        default=[], description="Ids of the videos to search; all others of the folder if empty"
    )


def find_routes(state: State) -> APIRouter:
    """Return the route of finding."""
    router = APIRouter(tags=["find"])
    refused: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (404, 422)}

    @router.post("/api/find", status_code=202, responses=refused)
    def find(asked: FindRequest) -> JobAnswer:
        """Begin to find a moment or a span; the same request is answered with the same job.

        When it is done, `found.json` has the place in each other video that shows it, the
        best first: from when to when, the nearest frame's time, the probability of a partner as
        score, and the name of the file with the frame's picture.
        """
        if asked.end < asked.begin:
            raise HTTPException(422, f"`end` must be >= `begin`, got {asked.end:g}")
        video = find_video(state, asked.video)
        others = other_videos(state, asked.others, [video], "video")
        videos = [video, *others]
        request = {
            "video": str(video.path),
            "others": [str(other.path) for other in others],
            "ids": [one.id for one in videos],
            "begin": asked.begin,
            "end": asked.end,
        }
        span = f"{asked.begin:.2f} s" + (f" to {asked.end:.2f} s" * (asked.end > asked.begin))
        return submit(state, "find", f"Find {span} of {video.name}", asked, videos, request)

    return router
