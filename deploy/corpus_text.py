"""Text out of Debian packages of documentation, as JSONL: one document a line, {"id", "text"}.

Run by deploy/corpus.sh with the system's Python and lxml:  corpus_text.py KIND ROOT > FILE
"""

import base64
import functools
import gzip
import json
import pathlib
import re
import string
import sys

from lxml import html

BLOCKS = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "li", "td", "th", "pre", "dt", "dd", "blockquote", "div",
          "tr", "ul", "ol", "table", "body"}
# Links to other pages, how to reach a command in the menus, icons, and marks of unfinished pages.
DROPPED_CLASSES = {"relatedtopics", "howtoget", "noteicon", "bug", "debug"}
DROPPED_TAGS = {"script", "style", "nav", "header", "footer", "img", "noscript", "title", "form", "button"}


def children(element):
    """The children that are shown: of a switch between systems or programs only one."""
    kept = [child for child in element if isinstance(child.tag, str) and child.tag not in DROPPED_TAGS
            and not DROPPED_CLASSES & set((child.get("class") or "").split())]
    if {"switch", "switchinline"} & set((element.get("class") or "").split()):
        usual = [child for child in kept if child.get("class") is None and child.tag == "span"]
        return (usual or [child for child in kept if child.get("class") != "MAC"] or kept)[:1]
    return kept


def blocks(element):
    """The text of each block beneath an element, in order; a row of a table is one block."""
    out, line = [], []

    def flush():
        text = " ".join("".join(line).split())
        if text:
            out.append(text)
        line.clear()

    def walk(node):
        line.append(node.text or "")
        shown = children(node)
        for child in node:
            if child in shown:
                visit(child)
            line.append(child.tail or "")

    def visit(node):
        if node.tag == "br":
            line.append(" ")
        elif node.tag == "pre":
            flush()
            text = node.text_content().strip("\n")
            if text.strip():
                out.append(text)
        elif node.tag == "tr":
            flush()
            cells = (" ".join(blocks(cell)) for cell in children(node))
            line.append(" | ".join(cell for cell in cells if cell))
            flush()
        elif node.tag in BLOCKS:
            flush()
            walk(node)
            flush()
        else:
            walk(node)

    walk(element)
    flush()
    return out


def parse(path):
    parser = html.HTMLParser(encoding="utf-8")
    return html.parse(str(path), parser).getroot()


def mostly_hangul(text):
    hangul = sum("가" <= c <= "힣" for c in text)
    return hangul > 0 and hangul >= sum(c in string.ascii_letters for c in text) / 2


def korean_help(root):
    """LibreOffice's help. Paragraphs that nobody has translated are left out, and pages of little else.
    A document is named by its program and page: scalc/01/04060101."""
    pages = root / "usr/share/libreoffice/help/ko/text"
    for path in sorted(pages.glob("**/*.html")):
        area = parse(path).get_element_by_id("DisplayArea", None)
        if area is None:
            continue
        kept = [block for block in blocks(area) if mostly_hangul(block)]
        if len("".join(kept)) >= 40:
            yield path.relative_to(pages).with_suffix("").as_posix(), "\n".join(kept)


def anarchism(root):
    """"An Anarchist FAQ", a page a document."""
    for path in sorted(root.glob("usr/share/doc/anarchism/html/*.html")):
        text = "\n".join(blocks(parse(path).body))
        if len(text) >= 200:
            yield path.stem, text


def gcide(root):
    """The GNU Collaborative International Dictionary of English, an entry a document."""
    digits = {c: i for i, c in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")}
    number = functools.partial(functools.reduce, lambda value, c: value * 64 + digits[c])
    folder = root / "usr/share/dictd"
    data = gzip.open(folder / "gcide.dict.dz").read()
    seen = set()
    for line in (folder / "gcide.index").read_text(encoding="utf-8").splitlines():
        word, start, size = line.split("\t")[:3]
        span = number(start, 0), number(size, 0)
        if span in seen or word.startswith("00-database"):
            continue
        seen.add(span)
        text = data[span[0]:span[0] + span[1]].decode("utf-8", "replace")
        text = re.sub(r"\s*\[1913 Webster( \+PJC)?\]|\s*\[PJC\]", "", text)
        yield word, " ".join(text.split())


def main():
    kind, root = sys.argv[1], pathlib.Path(sys.argv[2])
    documents = syllables = characters = 0
    for name, text in {"ko": korean_help, "anarchism": anarchism, "gcide": gcide}[kind](root):
        print(json.dumps({"id": name, "text": text}, ensure_ascii=False))
        documents += 1
        characters += len(text)
        syllables += sum("가" <= c <= "힣" for c in text)
    print(f"{documents} documents, {characters} characters, {syllables} hangul syllables", file=sys.stderr)


main()
