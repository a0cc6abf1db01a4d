"""`snakemake preview` shows stacks and movies, and trains nothing."""

import re


def test_preview_of_stacks_and_movies(untouched):
    assert untouched.planned("preview") == {"ingest_beads": 1, "preview_movie": 2, "preview": 1}
    untouched.run("preview")
    page = untouched.result("preview.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert page.count("<img") == 4 + 2
    assert "Movie swimming" in page and "hardly a bead is seen" in page.partition("Movie nobody")[2]
