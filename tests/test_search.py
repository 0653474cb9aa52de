"""The scripts that search the presets and make the pretrained models, at a size that takes seconds."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from singan_nb.all import Config, SinGAN

SCRIPTS = Path(__file__).resolve().parent.parent/"scripts"
sys.path.insert(0, str(SCRIPTS))
import make_pretrained  # noqa: E402
import search_presets  # noqa: E402


def run(script, *arguments):
    return subprocess.run([sys.executable, SCRIPTS/script, *map(str, arguments)], capture_output=True, text=True,
                          env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_a_search_is_kept_and_goes_on_where_it_stopped(tmp_path):
    out, given = tmp_path/"table.json", ["--runs", tmp_path/"runs", "--seeds", "0", "--max-size", 48, "--iters", 2, "-n", 2]
    done = run("search_presets.py", "--out", out, *given, "--photographs", "dunes", "--variants", "base,official border")
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    assert [(row["photograph"], row["variant"], row["seed"]) for row in rows] == [("dunes", "base", 0), ("dunes", "official border", 0)]
    assert rows[0]["sifid"] != rows[1]["sifid"] and all(row["frame"] > 0 and row["diversity"] > 0 for row in rows)
    assert "official border" in done.stdout and len(list((tmp_path/"table").glob("*.jpg"))) == 2
    again = run("search_presets.py", "--out", out, *given, "--photographs", "dunes,boats", "--variants", "base")
    assert again.returncode == 0 and json.loads(out.read_text())["rows"][:2] == rows
    assert [row["photograph"] for row in json.loads(out.read_text())["rows"]] == ["dunes", "dunes", "boats"]


def test_an_unknown_variant_is_named():
    done = run("search_presets.py", "--out", "x.json", "--runs", "x", "--variants", "bese")
    assert done.returncode == 2 and "unknown variants bese; there are base, official border" in done.stderr


@pytest.mark.parametrize("variant", search_presets.VARIANTS)
def test_every_variant_is_a_configuration_that_differs_from_the_base(variant):
    config = Config(**search_presets.BASE | search_presets.VARIANTS[variant])
    assert (config == Config(**search_presets.BASE)) == (variant == "base")


def test_a_pretrained_model_says_how_it_was_made_and_how_good_it_is(tmp_path):
    config = make_pretrained.settings("autumn", 48, iters=2)
    assert config.z_star == "fixed" and make_pretrained.settings("dunes").max_size == 250
    file, _ = make_pretrained.make("autumn", config, tmp_path/"run", tmp_path, "cpu")
    record = SinGAN.load(file).record
    assert record["config"]["z_star"] == "fixed" and record["config"]["max_size"] == 48
    assert set(record["quality"]) == {"sifid", "swd", "diversity", "frame", "rmse", "samples"}
