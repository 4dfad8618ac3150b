"""Draw the modules of both packages and who imports whom: ``python -m docs.draw_architecture``.

Nothing is drawn by hand: boxes and arrows are read from the source. A module stands above all that
it imports; an arrow that others imply is left out. A colour is a package.
"""

from __future__ import annotations

from collections import defaultdict
from graphlib import TopologicalSorter
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from tests.support.layers import imports, modules

FIGURES = Path(__file__).parent / "figures"
COLOURS = [
    "#dbe7f6",
    "#fbe3cf",
    "#dcefdc",
    "#f4dde8",
    "#e9e3f5",
    "#fdf3c8",
    "#d9f0ee",
    "#eeeeee",
    "#e6d9cc",
    "#cfe3c9",
    "#f9d4d4",
    "#d5d9ee",
]

#: Widths of letters and gaps, heights of boxes and floors, in units of a letter.
LETTER, GAP, BOX, FLOOR = 1.0, 2.2, 2.4, 7.0


def graph_of(package: str) -> dict[str, set[str]]:
    """What each module imports. A package's own module only hands on, and is left out."""
    found = modules(package)
    direct = {name: imports(path, set(found)) - {name} for name, path in found.items()}
    hands_on = {name for name, path in found.items() if path.name == "__init__.py"}

    def resolved(names: set[str]) -> set[str]:
        through = names & hands_on
        if not through:
            return names
        return (names - through) | resolved(set().union(*(direct[n] for n in through)) - through)

    return {
        name: resolved(others) - {name} for name, others in direct.items() if name not in hands_on
    }


def without_implied(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph without arrows that a longer way implies."""
    below: dict[str, set[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        below[name] = graph[name].union(*(below[o] for o in graph[name]))
    return {
        name: {o for o in others if not any(o in below[p] for p in others)}
        for name, others in graph.items()
    }


def floors_of(graph: dict[str, set[str]]) -> list[list[str]]:
    """Modules by floor, the lowest first, each near what it is joined with."""
    order = list(TopologicalSorter(graph).static_order())
    floor: dict[str, int] = {}
    for name in order:
        floor[name] = max((floor[o] + 1 for o in graph[name]), default=0)
    for name in reversed(order):  # right below the lowest that imports it
        above = [floor[o] for o in graph if name in graph[o]]
        floor[name] = min(above) - 1 if above else floor[name]
    rows = [sorted(n for n in graph if floor[n] == f) for f in range(max(floor.values()) + 1)]
    joined = defaultdict(set)
    for name, others in graph.items():
        for other in others:
            joined[name].add(other)
            joined[other].add(name)
    place = {n: centre for row in rows for n, centre in zip(row, centres_of(row), strict=True)}
    for _ in range(30):
        for row in rows:
            row.sort(key=lambda n: sum(place[o] for o in joined[n]) / max(len(joined[n]), 1))
            place |= dict(zip(row, centres_of(row), strict=True))
    return rows


def width_of(name: str) -> float:
    """Width of a module's box."""
    return LETTER * len(name.rpartition(".")[2]) + 1.6


def centres_of(row: list[str]) -> list[float]:
    """Centres of the boxes of a floor."""
    left = -sum(width_of(n) + GAP for n in row) / 2
    centres = []
    for name in row:
        centres.append(left + (width_of(name) + GAP) / 2)
        left += width_of(name) + GAP
    return centres


def draw(package: str) -> plt.Figure:
    """Draw one package."""
    graph = without_implied(graph_of(package))
    rows = floors_of(graph)
    packages = sorted({name.rpartition(".")[0] for name in graph})
    colours = dict(zip(packages, COLOURS, strict=False))
    places = {
        name: (x, floor * FLOOR)
        for floor, row in enumerate(rows)
        for name, x in zip(row, centres_of(row), strict=True)
    }
    wide = max(abs(x) + width_of(n) / 2 for n, (x, _) in places.items()) + 2
    figure, ax = plt.subplots(figsize=(wide * 0.165, len(rows) * 0.62 + 0.5), layout="tight")
    for name, others in graph.items():
        x, y = places[name]
        for other in others:
            to_x, to_y = places[other]
            arrow = {"arrowstyle": "-|>", "color": "0.62", "linewidth": 0.7, "shrinkA": 0}
            ax.annotate("", (to_x, to_y + BOX / 2), (x, y - BOX / 2), arrowprops=arrow, zorder=1)
    for name, (x, y) in places.items():
        room, _, module = name.rpartition(".")
        ax.add_patch(
            plt.Rectangle(
                (x - width_of(name) / 2, y - BOX / 2),
                width_of(name),
                BOX,
                facecolor=colours[room],
                edgecolor="0.35",
                linewidth=0.6,
                zorder=2,
            )
        )
        ax.text(x, y, module, ha="center", va="center", fontsize=7.5, zorder=3)
    handles = [
        plt.Rectangle((0, 0), 1, 1, facecolor=colours[p], edgecolor="0.35") for p in packages
    ]
    ax.legend(handles, packages, loc="upper left", fontsize=8, frameon=False)
    ax.set_xlim(-wide, wide)
    ax.set_ylim(-BOX, (len(rows) - 1) * FLOOR + BOX)
    ax.axis("off")
    return figure


def main() -> None:
    """Write a picture of each package."""
    for package in ("fastsw", "lac"):
        draw(package).savefig(FIGURES / f"{package}.png", dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main()
