"""Makes `help(train)` show what the source says: the comments that stand beside the parameters, and an example, join the docstring.

The notebooks document a parameter where it stands, and the site reads it there. `help`, editors and `?` read docstrings alone.
"""
import inspect
import linecache
import re
import tokenize
from importlib import import_module
from types import ModuleType

from singan_nb._examples import EXAMPLES


USUAL = {                                                        # what need not be said in every signature
    "model": "a trained SinGAN",
    "seed": "the same seed draws the same pictures",
    "device": "\"auto\", \"cpu\", \"cuda\" or \"mps\"",
}


class CallableModule(ModuleType):
    "A module that holds a function of its own name: `singan_nb.animate(...)` calls that function, `singan_nb.animate.closed` is found as before."
    _function = property(lambda self: vars(self)[self.__name__.rpartition(".")[2]])
    __doc__ = property(lambda self: self._function.__doc__)
    __signature__ = property(lambda self: inspect.signature(self._function))

    def __call__(self, *args, **kwargs): return self._function(*args, **kwargs)
    def __reduce__(self): return import_module, (self.__name__,)


def explain_module(module):
    "Explain everything public that a module defines. Docstrings of `cli` and of the commands stay: they are what the command line prints."
    if re.match(r"singan_nb\.(cli|commands)\b", module.__name__): return
    homes = notebooks(module)
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if getattr(thing, "__module__", None) != module.__name__: continue
        if inspect.isclass(thing): explain_class(thing)
        elif inspect.isfunction(inspect.unwrap(thing)): explain_function(thing)
        else: continue
        if name in EXAMPLES: add(thing, "Example, after `from singan_nb.all import *`:\n" + EXAMPLES[name].rstrip().replace("\n", "\n    ")[1:])
        if name in homes: add(thing, f"{'Explained' if '/reference/' in homes[name] else 'Taught'} in {homes[name]}.")
    if callable(vars(module).get(module.__name__.rpartition(".")[2])): module.__class__ = CallableModule


def notebooks(module) -> dict:
    "The notebook of each function and class of a module, from the lines above its cells: several notebooks may export to one module."
    found, notebook = {}, ""
    for line in linecache.getlines(module.__file__):
        cell, defined = re.match(r"# %% \S*?(nbs/\S+\.ipynb)", line), re.match(r"(?:def|class) (\w+)", line)
        if cell: notebook = cell[1]
        if defined and notebook: found[defined[1]] = notebook
    return found


def explain_class(cls):
    "Fields and public methods."
    found = fields(cls)
    add(cls, listed("Parameters", {name: found[name] for name in vars(cls).get("__annotations__", ()) if name in found}))
    for name, member in vars(cls).items():
        function = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if not inspect.isfunction(function) or function.__module__ != cls.__module__: continue
        if name == "__init__" or not name.startswith("_"): explain_function(function)


def explain_function(function):
    "Parameters and what is returned."
    try: found = comments(inspect.unwrap(function))
    except (SyntaxError, tokenize.TokenError): return            # the file has changed since it was imported
    of = {name: names for names in found for name in names.split(", ")}
    rows = {of.get(name, name): found[of[name]] if name in of else USUAL[name] for name in inspect.signature(function).parameters if name in of or name in USUAL}
    add(function, listed("Parameters", rows))
    add(function, f"Returns:\n    {found['return']}" if "return" in found else "")


def listed(title, rows): return f"{title}:\n" + "\n".join(f"    {name}: {text}" for name, text in rows.items()) if rows else ""


def add(thing, text):
    "A paragraph at the end of a docstring, unless it is there."
    doc = inspect.cleandoc(thing.__doc__ or "")
    if text not in doc: thing.__doc__ = f"{doc}\n\n{text}"


def comments(function) -> dict:
    """Comments of a signature by parameter, and that on the result as `return`.

    A comment belongs to the parameters of its line (`grow, feather`); one on a line of its own, to the next parameter.
    """
    start, file = function.__code__.co_firstlineno - 1, function.__code__.co_filename
    tokens = tokenize.generate_tokens(iter(linecache.getlines(file)[start:]).__next__)
    parameters, found, above = {*inspect.signature(function).parameters}, {}, []
    name, depth, row, next_is_name = "", 0, 0, False
    for token in tokens:
        if token.string == "def": break
    for kind, text, (at, column), _, line in tokens:
        if kind == tokenize.NEWLINE: break
        if kind == tokenize.COMMENT:
            (found.setdefault(name, []) if line[:column].strip() else above).append(text.lstrip("# "))
        elif text in ("(", "[", "{"): depth += 1
        elif text in (")", "]", "}"): depth -= 1
        elif depth == 1 and next_is_name and text in parameters:
            name, row, next_is_name = f"{name}, {text}" if at == row else text, at, False
            if above: found[name], above = above, []
        if depth == 1 and text in ("(", ","): next_is_name = True
        if depth == 0 and text == ")": name = "return"
    return {name: " ".join(lines) for name, lines in found.items()}


def fields(cls) -> dict:
    "Comments of the fields of a dataclass or a named tuple."
    lines = linecache.getlines(inspect.getfile(cls))
    start = next((i for i, line in enumerate(lines) if re.match(rf"class {cls.__name__}\b", line)), len(lines))
    found = {}
    for line in lines[start + 1:]:
        if re.match(r"\S|    (def|@)", line): break
        field = re.match(r"    (\w+)\s*:[^#]*#\s*(.*)", line)
        if field: found[field[1]] = field[2]
    return found
