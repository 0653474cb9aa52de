"""What the site is made from; the built site is checked by `make test-docs`."""
import re
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT/"scripts"))
import make_docs
from make_docs import extract_pictures, mend_links
from module_chain import chain_svg, direct, imports, rows


def reach(chain, name): return set().union(*({other} | reach(chain, other) for other in chain[name]))


def test_the_drawing_shows_every_module_and_loses_no_import():
    chain, drawing = imports(ROOT/"singan_nb"), chain_svg(ROOT/"singan_nb")
    assert {"images", "training", "cli"} <= set(chain) == set(sum(rows(chain), []))
    for name in chain:
        assert f">{name}</text>" in drawing
        assert reach(direct(chain), name) == reach(chain, name)
    for page in re.findall(r'href="([^"]*)\.html"', drawing): assert (ROOT/"nbs"/f"{page}.ipynb").exists()


@pytest.mark.parametrize("before, after", [
    ("see [a](../../LICENSE) here", "see a here"), ("[a](../../CONTRIBUTING.md)", "[a](../project/contributing.md)"),
    ("[a](../lessons/01_gan.ipynb)", "[a](../lessons/01_gan.ipynb)"), ("[a](25_teaching.ipynb#Glossary)", "[a](25_teaching.ipynb#glossary)"),
    ("[a](#What-is-this?)", "[a](#what-is-this)"), ("[a](https://example.org/#Top)", "[a](https://example.org/#Top)")])
def test_links_out_of_the_notebooks(before, after):
    assert mend_links(before, 1) == after


def test_links_to_the_sources_where_they_can_be_seen(monkeypatch, tmp_path):
    "Then each page has a link, too; without an address nothing of the site, the package or the citation names one."
    monkeypatch.setattr(make_docs, "URL", "https://example.org/x")
    assert mend_links("[a](../../LICENSE)", 1) == "[a](https://example.org/x/blob/main/LICENSE)"
    yaml, copy = pytest.importorskip("yaml"), tmp_path/"_quarto.yml"
    copy.write_text((ROOT/"nbs"/"_quarto.yml").read_text())
    make_docs.show_source(copy)
    site = yaml.safe_load(copy.read_text())
    assert site["website"]["repo-url"] == site["website"]["sidebar"]["tools"][0]["href"] == "https://example.org/x"
    assert site["smalldocs"]["api"]["source"] == "https://example.org/x/blob/main" and site["website"]["title"] == "singan_nb"
    assert "github.com/singan" not in "".join(path.read_text() for path in (ROOT/"settings.ini", ROOT/"setup.py", ROOT/"CITATION.cff", ROOT/"README.md", ROOT/"nbs"/"_quarto.yml"))


def test_pictures_become_files_and_keep_their_words(tmp_path):
    png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
    html = extract_pictures(f'<img alt="one dot" style="max-width:100%" src="data:image/png;base64,{png}">', tmp_path, 1)
    file, = tmp_path.iterdir()
    assert file.suffix == ".webp" and f'src="../site/pictures/{file.name}"' in html and 'alt="one dot"' in html


def test_the_citation_has_the_version():
    settings = ConfigParser(delimiters=["="])
    settings.read(ROOT/"settings.ini", encoding="utf-8")
    assert f"\nversion: {settings['DEFAULT']['version']}\n" in (ROOT/"CITATION.cff").read_text()
