"""The routes of jobs: the list, one of them, its files, and stopping it."""

from typing import Any

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

from lac.app._jobs import Job
from lac.app._models import JobAnswer, Problem
from lac.app._state import State

MISSING: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}


def job_answer(state: State, job: Job) -> JobAnswer:
    """Return a job as it is shown; paths on this machine are not."""
    return JobAnswer(
        id=job.id,
        kind=job.kind,
        title=job.title,
        state=job.state,
        words=job.words.replace(str(state.library.root) + "/", ""),
        share=job.share,
        created=job.created,
        started=job.started,
        ended=job.ended,
        files=list(job.result.get("files", ())),
        request=dict(job.shown),
    )


def job_routes(state: State) -> APIRouter:
    """Return the routes of jobs."""
    router = APIRouter(tags=["jobs"])

    @router.get("/api/jobs")
    def list_jobs() -> list[JobAnswer]:
        """List all jobs, the newest first; those of earlier servers are among them."""
        return [job_answer(state, job) for job in state.jobs.list()]

    @router.get("/api/jobs/{id}", responses=MISSING)
    def get_job(id: str) -> JobAnswer:
        """Tell how far a job is."""
        return job_answer(state, find_job(state, id))

    @router.delete("/api/jobs/{id}", status_code=204, responses=MISSING)
    def remove_job(id: str) -> None:
        """Stop a job that is not over; remove one that is, with its files."""
        find_job(state, id)
        state.jobs.remove(id)

    @router.post("/api/jobs/{id}/again", status_code=202, responses=MISSING)
    def repeat_job(id: str) -> JobAnswer:
        """Begin a job once more that has failed or was stopped."""
        find_job(state, id)
        return job_answer(state, state.jobs.again(id))

    @router.get("/api/jobs/{id}/files/{name}", response_class=FileResponse, responses=MISSING)
    def get_job_file(id: str, name: str) -> FileResponse:
        """Send a file that a finished job has written."""
        try:
            file = state.jobs.file(id, name)
        except KeyError:
            raise HTTPException(404, f"no file {name[:64]!r} of job {id[:32]!r}") from None
        return FileResponse(file, filename=file.name, content_disposition_type="inline")

    return router


def find_job(state: State, identity: str) -> Job:
    """Return a job; raises 404 if there is none."""
    try:
        return state.jobs.get(identity)
    except KeyError:
        raise HTTPException(404, f"no job {identity[:32]!r}") from None
