"""What requests hold and what they are answered with, as the documentation of the API shows it."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class EmbeddingRequest(BaseModel):
    """How the videos of a task are embedded."""

    encoder: str | None = Field(None, description="One of `/api/encoders`; the first if absent")
    every: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Take every so many frames; by their number if absent"
    )


class VideoFacts(BaseModel):
    """What the header of a video claims."""

    frames: int
    seconds: float
    width: int
    height: int
    codec: str
    playable: bool = Field(description="Whether browsers play the file as it is")


class VideoAnswer(BaseModel):
    """A video of the folder."""

    id: str
    name: str = Field(description="Path below the folder")
    bytes: int
    facts: VideoFacts | None = Field(description="Absent until the file has been looked at")
    problem: str | None = Field(description="Why it cannot be used, if it cannot")
    prepared: bool = Field(description="Whether it was made playable and is kept in the cache")


class VideosAnswer(BaseModel):
    """The folder."""

    folder: str
    videos: list[VideoAnswer]
    upload_limit: int = Field(description="Bytes of an upload at most; 0 where none is taken")


class JobAnswer(BaseModel):
    """One piece of work, as it stands."""

    id: str
    kind: str
    title: str
    state: Literal["queued", "running", "done", "failed", "stopped"]
    words: str = Field(description="What is being done, or why it failed")
    share: float | None = Field(description="Share of the work that is done, where known")
    created: float = Field(description="Seconds since 1970")
    started: float | None
    ended: float | None
    files: list[str] = Field(description="What can be fetched from /api/jobs/ID/files/NAME")
    request: dict[str, object] = Field(description="What was asked for, videos by their ids")


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str
