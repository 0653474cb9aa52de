"""Build docs/ from the notebooks, with smalldocs as nbs/_quarto.yml says.

    python scripts/make_docs.py [--out docs] [--pretrained FOLDER]

Notebooks are not run: their stored outputs are shown. What smalldocs leaves to others is done here: pictures become
WebP files, formulas, search and fonts need no other host, and the pretrained models become ONNX files for "Try it".
"""
import argparse
import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from tempfile import TemporaryDirectory

from module_chain import chain_svg
from PIL import Image

from singan_nb.images import load_image, resize, to_pixels
from singan_nb.models import PRETRAINED, SinGAN
from singan_nb.onnx_export import export_scales
from singan_nb.show import as_webp
from singan_nb.zoo import bundled_images

ROOT = Path(__file__).resolve().parent.parent
SETTINGS = ConfigParser(delimiters=["="])
SETTINGS.read(ROOT/"settings.ini", encoding="utf-8")
URL = SETTINGS["DEFAULT"]["git_url"]                              # where the sources can be seen; may be empty
PAGES = {"CHANGELOG.md": "changelog", "CONTRIBUTING.md": "contributing", "CODE_OF_CONDUCT.md": "conduct"}
MODELS = ("dunes", "boats", "forest", "lake")                     # of "Try it"
PAGE_LIMIT, SITE_LIMIT = 2, 30                                   # MB of a page with its pictures, and of all together


# ---------------------------------------------------------------- before: the sources

def extract_pictures(html:str, pictures:Path, depth:int) -> str:
    "Pictures inside HTML become files, and PNG and GIF become WebP."
    def file(match):
        attributes, kind, data, rest = match[1], match[2], base64.b64decode(match[3]), match[4]
        if kind in ("png", "gif"): kind, data = "webp", as_webp(data)
        path = pictures/f"{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
        path.write_bytes(data)
        width, height = Image.open(path).size
        return (f'<img {attributes}src="{"../"*depth}site/pictures/{path.name}" width="{width}" height="{height}" '
                f'loading="lazy"{rest}>')
    return re.sub(r'<img ([^>]*)src="data:image/(\w+);base64,([^"]*)"([^>]*)>', file, html)


def prepare_notebook(path:Path, depth:int, pictures:Path):
    "Drop cells that nbdev hides; take the pictures out of the outputs; mend links."
    notebook = json.loads(path.read_text(encoding="utf-8"))
    source = lambda cell: "".join(cell["source"])
    notebook["cells"] = [cell for cell in notebook["cells"] if not re.match(r"#\| *(hide|default_exp)\b", source(cell))]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown": cell["source"] = mend_links(source(cell), depth)
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output["data"]["text/html"] = extract_pictures("".join(output["data"]["text/html"]), pictures, depth)
    path.write_text(json.dumps(notebook), encoding="utf-8")


def source_link(match) -> str:
    "A link to a file of the repository, or its words alone where there is no repository to be seen."
    return f"[{match[1]}]({URL}/blob/{SETTINGS['DEFAULT']['branch']}/{match[2]})" if URL else match[1]


def mend_links(text:str, depth:int) -> str:
    "Links out of nbs/ lead to the site's own page of that file, or to the repository if it can be seen."
    up = "../"*(depth + 1)
    for name, page in PAGES.items(): text = text.replace(f"]({up}{name}", f"]({'../'*depth}project/{page}.md")
    text = re.sub(rf"\[([^]\[]*)\]\({re.escape(up)}(?!\.\./)([^)]*)\)", source_link, text)
    slug = lambda match: f"{match[1]}#{re.sub(r'[^a-z0-9_.-]', '', match[2].lower())})"
    return re.sub(r"(\]\([^)#\s]*\.ipynb|\]\()#([^)\s]+)\)", slug, text)        # a heading's place, as the site names it


def prepare(site:Path):
    "A copy of nbs/ that smalldocs can render."
    shutil.copytree(ROOT/"nbs", site, ignore=shutil.ignore_patterns(".ipynb_checkpoints", "screenshots", "_proc"), dirs_exist_ok=True)
    shutil.copytree(ROOT/"singan_nb", site.parent/"singan_nb", ignore=lambda folder, names: [n for n in names if not n.endswith((".py", ".js")) and n not in ("canvas", "explore")])
    (site/"site"/"pictures").mkdir()
    for path in sorted(site.rglob("*.ipynb")):
        prepare_notebook(path, len(path.relative_to(site).parents) - 1, site/"site"/"pictures")
    (site/"project").mkdir()
    for name, page in PAGES.items():
        text = re.sub(r"\[([^]\[]*)\]\((?!https?:|#|\w+\.md)([^)]*)\)", source_link, (ROOT/name).read_text(encoding="utf-8"))
        for other, target in PAGES.items(): text = text.replace(f"]({other}", f"]({target}.md")
        (site/"project"/f"{page}.md").write_text(text, encoding="utf-8")
    if URL: show_source(site/"_quarto.yml")
    page = site/"architecture.qmd"
    page.write_text(page.read_text(encoding="utf-8").replace("CHAIN", chain_svg(ROOT/"singan_nb"), 1), encoding="utf-8")


def show_source(settings:Path):
    "Links to the sources, on every page."
    import yaml  # smalldocs brings it
    site = yaml.safe_load(settings.read_text(encoding="utf-8"))
    site["website"] |= {"repo-url": URL, "repo-actions": ["source"], "repo-subdir": "nbs"}
    site["website"]["sidebar"]["tools"] = [{"icon": "github", "text": "Source", "href": URL}]
    site["smalldocs"]["api"]["source"] = f"{URL}/blob/{SETTINGS['DEFAULT']['branch']}"
    settings.write_text(yaml.safe_dump(site, sort_keys=False), encoding="utf-8")


# ---------------------------------------------------------------- after: the built pages

def replace_once(path:Path, old:str, new:str):
    "Replace text that must stand in a file exactly once."
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1: sys.exit(f"{path}: {old[:60]!r} stands there {text.count(old)} times; is this another smalldocs?")
    path.write_text(text.replace(old, new), encoding="utf-8")


def finish(out:Path, site:Path):
    "No other host, search that works from a folder, files that the pages fetch."
    shutil.copytree(site/"site", out/"site", dirs_exist_ok=True)
    shutil.copy(site/"images"/"walk.webp", out/"images")
    for theme in (out/"site_libs"/"themes").glob("*.css"):
        theme.write_text(re.sub(r'@import\s*(url\([^)]*\)|"[^"]*");', "", theme.read_text(encoding="utf-8")), encoding="utf-8")
    index = json.loads((out/"search.json").read_text(encoding="utf-8"))
    (out/"search.json").unlink()
    (out/"site_libs"/"search.js").write_text("window.searchIndex = " + json.dumps(index, ensure_ascii=False) + ";\n", encoding="utf-8")
    replace_once(out/"site_libs"/"smalldocs.js", 'const r = await fetch(offset + "search.json");\n      index = await r.json();',
        'await new Promise((done, failed) => { const s = document.createElement("script"); s.src = offset + "site_libs/search.js";'
        ' s.onload = done; s.onerror = failed; document.head.append(s); });\n      index = window.searchIndex;')
    for page in out.rglob("*.html"): finish_page(page, "../"*(len(page.relative_to(out).parents) - 1))
    (out/".nojekyll").touch()


def finish_page(page:Path, up:str):
    "Formulas from the site's own KaTeX; links to folders name their page; what a screen reader needs."
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"https://cdn\.jsdelivr\.net/npm/katex@[\d.]+/dist/(contrib/)?", f"{up}site/vendor/katex/", text)
    text = text.replace(f'<a href="{up or "./"}">', f'<a href="{up}index.html">')
    text = re.sub(r'(<img [^>]*src="images/)walk\.gif("[^>]*>)',           # who wants no motion gets none
                  r'<picture><source media="(prefers-reduced-motion: reduce)" srcset="images/walk.webp">\1walk.gif\2</picture>', text)
    text = re.sub(r"<pre(?![^>]*tabindex)", '<pre tabindex="0"', text)       # what is wide can be scrolled with the keyboard
    text = text.replace('<span class="math display"', '<span tabindex="0" class="math display"')
    if page.parent.name in ("api", "project"):                              # made from files elsewhere: no source to view there
        text = re.sub(r'<div class="toc-actions">.*?</div></div>', "", text)
    page.write_text(text, encoding="utf-8")


def add_models(out:Path, pretrained:Path):
    "The pretrained models as ONNX, their photographs, and what the page must know about them."
    entries = []
    for photo in bundled_images():
        if photo.name not in MODELS: continue
        model, folder = SinGAN.load(pretrained/f"{photo.name}.safetensors"), f"models/{photo.name}"
        worst = export_scales(model, out/"site"/folder, half=True)
        megabytes = sum(file.stat().st_size for file in (out/"site"/folder).iterdir())/2**20
        print(f"   {folder}: {megabytes:.2f} MB, at most {worst:.1e} from PyTorch", flush=True)
        picture = Image.fromarray(to_pixels(resize(load_image(photo.name), model.sizes[-1])))
        picture.save(out/"site"/f"{folder}.webp", quality=88)
        entries.append(dict(name=photo.name, folder=folder, megabytes=round(megabytes, 1), photograph=f"{folder}.webp", shows=photo.shows,
                            author=photo.author, licence=photo.licence, sizes=model.sizes, grey_noise=model.grey_noise))
    shutil.copy(PRETRAINED/"LICENCES.txt", out/"site"/"models")
    (out/"site"/"models.json").write_text(json.dumps(entries, indent=1), encoding="utf-8")


def check_sizes(out:Path):
    "Stop if a page with its pictures, or the whole site, has become too heavy."
    mb = lambda path: path.stat().st_size/2**20
    heavy = []
    for page in sorted(out.rglob("*.html")):
        pictures = set(re.findall(r'<img [^>]*src="([^":]*)"', page.read_text(encoding="utf-8")))
        weight = mb(page) + sum(mb((page.parent/name).resolve()) for name in pictures)
        if weight > PAGE_LIMIT: heavy.append(f"{page.relative_to(out)} {weight:.2f} MB")
    whole = sum(mb(path) for path in out.rglob("*") if path.is_file())
    print(f"== {out.name}: {len(list(out.rglob('*.html')))} pages, {whole:.1f} MB")
    if heavy or whole > SITE_LIMIT: sys.exit(f"too heavy: {', '.join(heavy) or f'{whole:.1f} MB'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT/"docs")
    parser.add_argument("--without-models", action="store_true", help='leave out the models of "Try it", to look at pages quickly')
    parser.add_argument("--pretrained", type=Path, default=PRETRAINED, help='folder with the models of "Try it", such as dunes.safetensors')
    given = parser.parse_args()
    out = given.out.resolve()
    with TemporaryDirectory() as folder:
        site, built = Path(folder)/"nbs", Path(folder)/"docs"
        print("== notebooks", flush=True); prepare(site)
        subprocess.run([sys.executable, "-m", "smalldocs.cli", "render", site], check=True, cwd=folder)
        finish(built, site)
        print("== models", flush=True)
        if not given.without_models: add_models(built, given.pretrained.resolve())
        if out.exists(): shutil.rmtree(out)
        shutil.copytree(built, out)
    check_sizes(out)


if __name__ == "__main__": main()
