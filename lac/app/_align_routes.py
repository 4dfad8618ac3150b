"""The routes of alignments: with which encoders, of which videos, and what to take along."""

import json
from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from lac.app._job_routes import MISSING, find_job, job_answer
from lac.app._jobs import Job
from lac.app._models import EmbeddingRequest, JobAnswer, Problem
from lac.app._state import State
from lac.app._submitting import submit
from lac.app._videos import find_video


class AlignRequest(EmbeddingRequest):
    """Which videos to align, and how."""

    a: str = Field(description="Id of the first video")
    b: str = Field(description="Id of the second")


class ExportRequest(BaseModel):
    """What to write of an alignment."""

    what: Literal["video", "report"] = Field(
        description="`both.mp4`, both videos in step, or `report.html`, the screen as one file"
    )


def align_routes(state: State) -> APIRouter:
    """Return the routes of alignments."""
    router = APIRouter(tags=["align"])
    refused: dict[int | str, dict[str, Any]] = {code: {"model": Problem} for code in (404, 422)}

    @router.post("/api/align", status_code=202, responses=refused)
    def align(asked: AlignRequest) -> JobAnswer:
        """Begin to align two videos; the same request once more is answered with the same job.

        When it is done, `view.json` says all about it, `similarity.png` and `posterior.png` are
        the matrix, `pairs.csv` are the matching times, and `alignment.png` is a picture of it.
        """
        videos = [find_video(state, identity) for identity in (asked.a, asked.b)]
        title = f"Align {videos[0].name} with {videos[1].name}"
        request = {"paths": [str(video.path) for video in videos]}
        return submit(state, "align", title, asked, videos, request)

    @router.post("/api/jobs/{id}/export", status_code=202, responses=MISSING | refused)
    def export(id: str, asked: ExportRequest) -> JobAnswer:
        """Begin to write a video or a report of an alignment that is done; of a check, a report."""
        job = find_job(state, id)
        kinds = ("align", "check") if asked.what == "report" else ("align",)
        if job.kind not in kinds or job.state != "done":
            raise HTTPException(422, f"job {id} must be done, and of {' or '.join(kinds)}")
        paths, names = _shown_videos(state, job)
        request = {
            "paths": paths,
            "names": names,
            "what": asked.what,
            "source": str(state.jobs.folder(id)),
        }
        title = f"Write the {asked.what} of {' and '.join(names)}"
        shown = {"job": id, "what": asked.what}
        return job_answer(state, state.jobs.submit("export", title, request, shown=shown))

    return router


def _shown_videos(state: State, job: Job) -> tuple[list[str], list[str]]:
    """Return paths and names of the two videos that are shown of an alignment or a check."""
    names = job.request["names"]
    if job.kind == "align":
        return job.request["paths"], names
    found = json.loads(state.jobs.file(job.id, "check.json").read_text(encoding="utf-8"))
    nearest = found["nearest"]
    return [job.request["references"][nearest], job.request["query"]], [names[nearest], names[-1]]
