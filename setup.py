"""The package, described by settings.ini: name, version and requirements stand there and nowhere else. The licences stand in pyproject.toml."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
config = ConfigParser(delimiters=["="])
config.read(here / "settings.ini", encoding="utf-8")
settings = config["DEFAULT"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    long_description=(here / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author=settings["author"],
    url=settings["git_url"] or None,
    keywords=settings["keywords"],
    packages=find_packages(include=["singan_nb", "singan_nb.*"]),
    package_data={"singan_nb": ["py.typed", "photographs/*", "inception/*", "pretrained/*", "canvas/*"]},
    python_requires=">=" + settings["min_python"],
    install_requires=settings["requirements"].split(),
    extras_require={name.removesuffix("_requirements"): needs.split() for name, needs in settings.items() if name.endswith("_requirements")},
    entry_points={"console_scripts": settings["console_scripts"].split()},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Education",
        "Programming Language :: Python :: 3",
    ],
)
