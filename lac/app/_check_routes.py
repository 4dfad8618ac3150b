"""The route of checks: which video, against which references."""

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException
from pydantic import Field

from lac.app._models import EmbeddingRequest, JobAnswer, Problem
from lac.app._state import State
from lac.app._submitting import submit
from lac.app._videos import find_video

_REFERENCES = 16  # at most


class CheckRequest(EmbeddingRequest):
    """Which video to check, and against which."""

    query: str = Field(description="Id of the video that is checked")
    references: Annotated[list[str], Field(min_length=1, max_length=_REFERENCES)] = Field(
        description="Ids of videos of how it is done; two or more tell how much may vary"
    )


def check_routes(state: State) -> APIRouter:
    """Return the route of checks."""
    router = APIRouter(tags=["check"])
    refused: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (404, 422)}

    @router.post("/api/check", status_code=202, responses=refused)
    def check(asked: CheckRequest) -> JobAnswer:
        """Begin to check a video; the same request once more is answered with the same job.

        When it is done, `check.json` has distance and surprise of every moment and the steps that
        are missing, extra or changed, `steps.csv` their times, `check.png` is a picture of it, and
        `view.json` is the alignment with the reference that matches best.
        """
        if len({asked.query, *asked.references}) <= len(asked.references):
            raise HTTPException(422, "`references` must be different videos, and not the query")
        videos = [find_video(state, identity) for identity in (*asked.references, asked.query)]
        *references, query = videos
        others = f" and {len(references) - 1} more" if len(references) > 1 else ""
        title = f"Check {query.name} against {references[0].name}{others}"
        request = {
            "references": [str(video.path) for video in references],
            "query": str(query.path),
        }
        return submit(state, "check", title, asked, videos, request)

    return router
