"""Tasks for a lane of `lac.app`: good, bad and deadly ones."""

import os
import signal
import time


def double(value, **_):
    print("what a library prints")
    return {"value": 2 * value}


def die(**_):
    os.kill(os.getpid(), signal.SIGSEGV)


def fail(**_):
    raise ValueError("`value` must be right,\ngot wrong")


def crash(**_):
    raise KeyError("unforeseen")


def wait(**_):
    time.sleep(600)


#: Where the process finds them.
TASKS = {name: f"{__name__}.{name}" for name in ("double", "die", "fail", "crash", "wait")}
