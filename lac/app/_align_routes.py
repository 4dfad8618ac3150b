"""The routes of alignments: with which encoders, of which videos, and what to take along."""

from typing import Any, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, Field

from lac.app._encoders import chosen_encoder
from lac.app._job_routes import MISSING, find_job, job_answer
from lac.app._models import EmbeddingRequest, JobAnswer, Problem
from lac.app._state import State
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
        encoder = chosen_encoder(state, asked.encoder)
        request = {
            "paths": [str(video.path) for video in videos],
            "names": [video.name for video in videos],
            "encoder": encoder.run,
            "every": asked.every,
            "cache": str(state.cache),
        }
        title = f"Align {videos[0].name} with {videos[1].name}"
        job = state.jobs.submit(
            "align",
            title,
            request,
            shown={**asked.model_dump(), "encoder": encoder.name},
            stamp=[*(video.stamp for video in videos), *encoder.stamp],
        )
        return job_answer(state, job)

    @router.post("/api/jobs/{id}/export", status_code=202, responses=MISSING | refused)
    def export(id: str, asked: ExportRequest) -> JobAnswer:
        """Begin to write a video or a report of an alignment that is done."""
        job = find_job(state, id)
        if job.kind != "align" or job.state != "done":
            raise HTTPException(422, f"job {id} must be an alignment that is done")
        request = {
            "paths": job.request["paths"],
            "names": job.request["names"],
            "what": asked.what,
            "source": str(state.jobs.folder(id)),
        }
        title = f"Write the {asked.what} of {' and '.join(job.request['names'])}"
        shown = {"job": id, "what": asked.what}
        return job_answer(state, state.jobs.submit("export", title, request, shown=shown))

    return router
