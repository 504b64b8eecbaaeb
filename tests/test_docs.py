"""The documents say what is true: commands exist, links lead somewhere, exit codes agree."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relume.cli.app import whole
from relume.errors import ExitCode

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


def commands(text: str) -> Iterator[list[str]]:
    """Words of every `relume ...` command that stands in a code block or between backticks."""
    for line in re.findall(r"(?m)^ {4,}(.*)$|`([^`\n]+)`", text):
        code = line[0] or line[1]
        found = re.search(r"(?:^|[|;]\s*)relume ([a-z-].*)", code)
        if found:
            yield shlex.split(re.split(r"\s[|<>#]", found[1])[0])


def option_names(command: Any) -> set[str]:
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}


def anchors(text: str) -> set[str]:
    """What a link can name in a page, by GitHub's rule."""
    found: Counter[str] = Counter()
    for heading in re.findall(r"(?m)^#+ +(.*?) *$", re.sub(r"(?ms)^```.*?^```", "", text)):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        found[re.sub(r"[^\w\- ]", "", words).replace(" ", "-")] += 1
    again = {f"{anchor}-{time}" for anchor, times in found.items() for time in range(1, times)}
    return again.union(found)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_command_and_option_exists(document: Path) -> None:
    for words in commands(document.read_text()):
        command: Any = whole()
        known = option_names(command) | {"--help", "-h"}
        for word in words:
            subcommands = getattr(command, "commands", {})
            if subcommands and not word.startswith("-"):
                assert word in subcommands or word.isupper(), f"{document.name}: relume {' '.join(words)}"
                command = subcommands.get(word, command)
                known |= option_names(command)
            elif word.startswith("-") and word != "-":
                assert word.split("=")[0] in known, f"{document.name}: relume {' '.join(words)}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?[^)]*\)", document.read_text()):
        if "://" not in target:
            path = document.parent / target if target else document
            assert path.exists(), f"{document.name} links to {target}"
            assert not anchor or anchor in anchors(path.read_text()), f"{document.name} links to #{anchor}"


def test_headings_are_linked_by_githubs_rule() -> None:
    text = "# `relume data`: what, [and why](x.md)\n    # none\n```\n# none\n```\n" + 3 * "## A_b-c (d)\n"
    assert anchors(text) == {"relume-data-what-and-why", "a_b-c-d", "a_b-c-d-1", "a_b-c-d-2"}


def test_exit_codes_are_documented() -> None:
    table = re.findall(r"^\| (\d+) \| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert {name: int(code) for code, name in table} == {code.name: int(code) for code in ExitCode}


def test_the_readme_starts_with_its_two_commands() -> None:
    code = [
        line.split("#")[0].strip()
        for line in (ROOT / "README.md").read_text().splitlines()
        if line[:4] == "    "
    ]
    assert code[:2] == ["make enhance", "make test"]


def test_no_text_installs_a_package_that_is_not_ours() -> None:
    """The name is open to anyone on the index until relume is published."""
    for path in [*DOCUMENTS, *(ROOT / "src").rglob("*.py")]:
        assert not re.search(r"pip install ['\"]?relume\b", path.read_text()), path


def test_the_reference_is_as_the_code_has_it() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "make_reference.py", "--check"], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
