"""Makes the pages of the site: a hook of MkDocs, named in .mkdocs.yml.

Pages are written to be read in the repository, where a link leads to a page, to a source file or
to the README. On the site, README.md is the home page, a source file that a page links to has a
page of its own, and each section of docs/api.md becomes a page of the reference, which mkdocstrings
fills with the docstrings. All links are rewritten accordingly.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
HOME = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "LICENSE": "source/LICENSE.md"}
LINK = re.compile(r"(?<!!)(\[[^\[\]]*\])\((?!https?:|#)([^)\s#]+)(#[^)\s]*)?\)")
NAME = re.compile(r"^- \[`(?P<name>[\w.]+)`\]\((?P<source>[^)]+)\)", re.M)
LANGUAGES = {".py": "python", ".pyx": "cython", ".pxd": "cython", ".c": "c", ".h": "c"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append the pages of the reference to the navigation."""
    api = next(entry["API"] for entry in config.nav if "API" in entry)
    api += [{title: page} for title, page in _reference_pages().items()]
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Replace the pages by those of the site, and add the home page, reference and sources."""
    texts = {f"docs/{file.src_uri}": file.content_string for file in files.documentation_pages()}
    texts = {path: text for path, text in texts.items() if path.endswith(".md")}
    texts |= {path: (ROOT / path).read_text(encoding="utf-8") for path in HOME if path[-1] == "d"}
    made = {_on_site(path): _linked(path, text) for path, text in texts.items()}
    for path in sorted(_linked_sources(texts)):
        made[_on_site(path)] = _source(path)
    made |= _reference()
    for page, text in made.items():
        if old := files.get_file_from_path(page):
            files.remove(old)
        files.append(File.generated(config, page, content=text))
    return files


# ------------------------------------------------------------------------------------------ links


def _on_site(path: str) -> str:
    """The page that shows a file of the repository."""
    if path in HOME:
        return HOME[path]
    if path.startswith("docs/") and path.endswith((".md", ".ipynb")):
        return path.removeprefix("docs/")
    return f"source/{path}.md"


def _target(path: str, link: str) -> str:
    """The file of the repository to which a link in the file `path` leads."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), link))


def _linked(path: str, text: str) -> str:
    """The text of a page, with links between pages of the site."""
    page = _on_site(path)
    anchors = _anchors() if path == "docs/api.md" else {}

    def rewritten(match: re.Match[str]) -> str:
        label, link, anchor = match[1], match[2], match[3] or ""
        found = anchors.get(label.strip("[]`")) or _on_site(_target(path, link)) + anchor
        return f"{label}({posixpath.relpath(found, posixpath.dirname(page) or '.')})"

    parts = re.split(r"(^```.*?^```)", text, flags=re.M | re.S)  # every second one is a program
    parts[::2] = [LINK.sub(rewritten, part) for part in parts[::2]]
    return "".join(parts)


def _linked_sources(texts: dict[str, str]) -> set[str]:
    """The files of the repository that pages link to and that are not pages."""
    links = {
        _target(path, match[2])
        for path, text in texts.items()
        if path != "docs/api.md"
        for match in LINK.finditer(re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    }
    return {link for link in links if (ROOT / link).is_file() and link not in texts} - {
        link for link in links if link.startswith("docs/") and link.endswith(".ipynb")
    }


def _source(path: str) -> str:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return _linked(path, text)
    return f"# {path}\n\n````{LANGUAGES.get(Path(path).suffix, 'text')}\n{text}\n````\n"


# -------------------------------------------------------------------------------------- reference


def _sections() -> dict[str, str]:
    """The text of each section of docs/api.md, by title."""
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.*)$", text, flags=re.M)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def _reference_pages() -> dict[str, str]:
    return {title: f"reference/{re.sub(r'[ .]', '_', title.lower())}.md" for title in _sections()}


def _anchors() -> dict[str, str]:
    """Where each public name stands in the reference."""
    pages = _reference_pages()
    return {
        match["name"]: f"{pages[title]}#cnnx.{match['name']}"
        for title, text in _sections().items()
        for match in NAME.finditer(text)
    }


def _reference() -> dict[str, str]:
    """The pages of the reference: the names of a section, for mkdocstrings to describe."""
    pages = _reference_pages()
    return {pages[title]: _section(title, text) for title, text in _sections().items()}


def _section(title: str, text: str) -> str:
    names = [match["name"] for match in NAME.finditer(text)]
    return f"# {title}\n\n" + "\n\n".join(map(_described, names)) + "\n"


def _described(name: str) -> str:
    """The directive that shows a name; the members of a module have sections of their own."""
    path = ROOT.joinpath("cnnx", *name.split("."))
    module = path.is_dir() or path.with_suffix(".py").exists()
    return f"::: cnnx.{name}" + ("\n    options:\n      members: false" if module else "")
