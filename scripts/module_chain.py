"""The chain of modules as a drawing, from the import statements of the code."""
import ast
import re
from pathlib import Path

WIDTH, HEIGHT, GAP_X, GAP_Y = 104, 44, 14, 42                    # of a box, and between boxes, in pixels


def imports(folder:Path) -> dict:
    "The modules that each exported module imports, by name. A package counts as one module."
    modules = {path.stem: [path] for path in folder.glob("*.py") if not path.stem.startswith("_") and path.stem != "all"}
    modules |= {path.parent.name: sorted(path.parent.glob("*.py")) for path in folder.glob("*/__init__.py")}
    found = {}
    for name, paths in modules.items():
        names = set().union(*(imported(path, len(path.relative_to(folder).parts)) for path in paths))
        found[name] = {other for other in names if other in modules and other != name}
    return found


def imported(path:Path, depth:int) -> set:
    "What a file imports from the library; `depth` dots lead to its folder."
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.module.removeprefix("singan_nb.") for node in nodes if isinstance(node, ast.ImportFrom) and node.module and node.level in (0, depth)}


def direct(chain:dict) -> dict:
    "The imports that do not follow from others."
    def reach(name): return set().union(*({other} | reach(other) for other in chain[name]))
    return {name: {other for other in others if not any(other in reach(third) for third in others)}
            for name, others in chain.items()}


def notebook(folder:Path, name:str) -> str:
    "The notebook that a module comes from, without its suffix: lessons/00_images."
    path = folder/name/"__init__.py" if (folder/name).is_dir() else folder/f"{name}.py"
    return re.search(r"\bnbs/(\S+)\.ipynb", path.read_text(encoding="utf-8"))[1]


def rows(chain:dict) -> list:
    "Modules by their distance from the first: a module stands below all that it imports."
    def depth(name): return 1 + max(map(depth, chain[name]), default=-1)
    depths = {name: depth(name) for name in chain}
    return [sorted(name for name in chain if depths[name] == d) for d in range(max(depths.values()) + 1)]


def chain_svg(folder:Path) -> str:
    "An SVG whose boxes lead to the notebooks; arrows go from a module to those that import it."
    chain = imports(folder)
    layers, kept = rows(chain), direct(chain)
    width = max(len(layer) for layer in layers)*(WIDTH + GAP_X)
    place = {name: ((width - len(layer)*(WIDTH + GAP_X) + GAP_X)/2 + i*(WIDTH + GAP_X), y*(HEIGHT + GAP_Y) + 4)
             for y, layer in enumerate(layers) for i, name in enumerate(layer)}
    parts = [_line(place[other], place[name]) for name in kept for other in sorted(kept[name])]
    parts += [_box(name, notebook(folder, name), place[name]) for name in place]
    words = "; ".join(f"{name} imports {', '.join(sorted(others))}" for name, others in kept.items() if others)
    return (f'<svg class="chain" role="group" aria-label="The modules: {words}" viewBox="0 0 {width} {len(layers)*(HEIGHT + GAP_Y)}" '
            f'style="min-width:{width*.75:.0f}px" xmlns="http://www.w3.org/2000/svg">'
            + "".join(parts) + "</svg>")


def _line(start, end):
    "A curve from the lower edge of one box to the upper edge of another."
    x1, y1, x2, y2 = start[0] + WIDTH/2, start[1] + HEIGHT, end[0] + WIDTH/2, end[1]
    return f'<path d="M{x1:.0f} {y1} C{x1:.0f} {y1 + 24} {x2:.0f} {y2 - 24} {x2:.0f} {y2}"/>'


def _box(name, page, place):
    "A module and its notebook's number."
    x, y = place
    return (f'<a href="{page}.html"><rect x="{x:.0f}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"/>'
            f'<text x="{x + WIDTH/2:.0f}" y="{y + 19}">{name}</text>'
            f'<text class="number" x="{x + WIDTH/2:.0f}" y="{y + 36}">{page.split("/")[1][:2]}</text></a>')
