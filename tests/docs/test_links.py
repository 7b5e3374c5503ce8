"""Links inside the repository lead somewhere, and pages use the project's words."""

from __future__ import annotations

import re

import pytest

from tests.docs.pages import PAGES, ROOT, links, prose, read

pytestmark = pytest.mark.checkout

SYNONYMS = {
    r"high[- ]water": "watermark",
    r"\bbookmarks?\b": "watermark",
    r"\bsinks? connector": "warehouse",
    r"\bprimary keys?\b": "key",
    r"\bsoft[- ]delete(d)? marker": "tombstone",
    r"\blookback\b": "overlap",
    r"\bjob run\b": "run",
}
"""Words that mean one of the design's but are not it; short, because a reader learns one word a thing."""

PRAISE = re.compile(r"\b(blazing|seamless|powerful|effortless|robust|world-class|cutting-edge|simply|easily)\b", re.I)


def anchors(page: str) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    titles = re.findall(r"^#+ +(.*?) *$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_points_at_a_file_and_a_heading_of_it(page: str) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.exists() or (anchor and anchor not in anchors(str(target.resolve().relative_to(ROOT)))):
            broken.append(link)
    assert not broken


def test_every_page_of_the_documents_is_linked_from_the_readme_or_the_first_page() -> None:
    linked = {link.partition("#")[0] for link in links("README.md")}
    linked |= {f"docs/{link.partition('#')[0]}" for link in links("docs/getting-started.md")}
    assert {page for page in PAGES if page.startswith("docs/")} <= linked


@pytest.mark.parametrize("page", PAGES)
def test_a_page_uses_the_design_s_words_and_praises_nothing(page: str) -> None:
    text = prose(page)
    assert not {word: instead for word, instead in SYNONYMS.items() if re.search(word, text, re.I)}
    assert not PRAISE.findall(text)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_no_absolute_path_of_the_machine_it_was_written_on(page: str) -> None:
    assert not re.findall(r"/(?:tmp|work|root)/[\w/.-]*", read(page))
