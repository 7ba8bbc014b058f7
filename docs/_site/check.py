"""Every link inside the built site leads somewhere, and the site fetches nothing from elsewhere.

python docs/_site/check.py build/site
"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit


class Page(HTMLParser):
    """A page's anchors, and its links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.address = "/"
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called for each tag."""
        given = {name: value for name, value in attrs if value is not None}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag in ("a", "area") and "href" in given:
            self.links.append(given["href"])
        for name in ("src", "data", "poster"):
            if name in given:
                self.fetched.append(given[name])
        if tag == "link" and "href" in given:
            if given.get("rel") == "canonical":  # where the page is published, if SITE_URL says it
                self.address = given["href"]
            else:
                self.fetched.append(given["href"])


def faults(site: Path) -> list[str]:
    """The faults of the site in the folder ``site``, a line for each."""
    pages = {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [] if pages else [f"{site}: there is no page"]
    home = pages.get(site / "index.html")
    root = urlsplit(home.address).path if home else "/"
    for path, page in pages.items():
        name = path.relative_to(site)
        for link in page.fetched:
            if urlsplit(link).scheme in ("http", "https") or link.startswith("//"):
                found.append(f"{name}: fetches {link}")
        for link in [*page.links, *page.fetched]:
            fault = _fault(link, path, site, root, pages)
            if fault:
                found.append(f"{name}: {fault}")
    for style in site.rglob("*.css"):
        for link in re.findall(r"url\(\s*['\"]?(https?:[^)'\"]*)", style.read_text("utf-8")):
            found.append(f"{style.relative_to(site)}: fetches {link}")
    return found


def _fault(link: str, path: Path, site: Path, root: str, pages: dict[Path, Page]) -> str | None:
    if urlsplit(link).scheme or link.startswith("//"):
        return None
    address, anchor = urldefrag(link)
    address = unquote(urlsplit(address).path)
    if address.startswith("/"):
        if not address.startswith(root):
            return f"{link} leads out of the site"
        target = site / address.removeprefix(root)
    else:
        target = path.parent / address if address else path
    target = target.resolve()
    if target.is_dir():
        target /= "index.html"
    if not target.is_file():
        return f"{link} leads nowhere"
    if anchor and target.suffix == ".html" and unquote(anchor) not in pages[target].ids:
        return f"{link}: there is no such place in the page"
    return None


def main() -> int:
    """0 all is well, 1 not."""
    site = Path(sys.argv[1]).resolve()
    found = faults(site)
    for fault in found:
        print(fault, file=sys.stderr)
    print(f"{len(list(site.rglob('*.html')))} pages, {len(found)} faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
