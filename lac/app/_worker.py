"""The process of a lane: reads tasks as lines of JSON, does them, answers in lines of JSON."""

import contextlib
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from lac._lazy import missing_extra
from lac._progress import Stage, observed

# What a lane does: the module and the function of each task. It takes what the request holds by
# name, and returns what JSON can hold.
TASKS: Mapping[str, Mapping[str, str]] = {
    "media": {
        "describe": "lac.app._media.describe",
        "check": "lac.app._media.check",
        "transcode": "lac.app._media.transcode",
    },
    "compute": {
        "align": "lac.app._aligning.align",
        "check": "lac.app._checking.check",
        "find": "lac.app._finding.find",
        "label": "lac.app._labelling.label",
        "export": "lac.app._aligning.export",
    },
}
_MEMORY = {"media": 8 << 30}  # bytes of addresses: a crafted file may ask for any number of pixels


def main() -> None:
    """Do tasks until nothing more can come."""
    lane = sys.argv[1]
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is for the log
    _limit_memory(lane)
    lock = threading.Lock()

    def answer(**content: Any) -> None:
        with lock:
            answers.write(json.dumps(content) + "\n")
            answers.flush()

    def report(stages: Sequence[Stage]) -> None:
        words = "; ".join(stage.words for stage in stages)
        answer(words=words, share=_share(stages))

    for line in iter(_incoming().get, None):
        task = json.loads(line)
        try:
            function = _function(TASKS[lane][task["task"]])
            with observed(report):
                result = function(**task["request"])
        except ModuleNotFoundError as error:
            answer(error=missing_extra(error))
        except (ValueError, OSError) as error:
            answer(error=" ".join(str(error).split()))
        except MemoryError:
            answer(error="There is not enough memory for this")
        except Exception as error:
            traceback.print_exc()
            answer(error=f"It failed for a reason that was not foreseen: {error!r}")
        else:
            answer(result=result)


def _incoming() -> "queue.Queue[str]":
    """Read lines in a thread that ends the process, whatever it does, once the server is gone."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _function(path: str) -> Callable[..., Mapping[str, Any]]:
    """Return what a task calls."""
    module, _, name = path.rpartition(".")
    function: Callable[..., Mapping[str, Any]] = getattr(import_module(module), name)
    return function


def _share(stages: Sequence[Stage]) -> float | None:
    """Return the share that is done, that of inner work counted as part of the outer."""
    share, room, known = 0.0, 1.0, False
    for stage in stages:
        if not stage.total or stage.done > stage.total:
            continue
        known = True
        share += room * stage.done / stage.total
        room /= stage.total
    return min(share, 1.0) if known else None


def _limit_memory(lane: str) -> None:
    """Let a lane have so much memory, where the system can be told so."""
    if lane in _MEMORY:
        with contextlib.suppress(ImportError, ValueError, OSError):
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY[lane], _MEMORY[lane]))


if __name__ == "__main__":
    main()
