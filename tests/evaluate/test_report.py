from __future__ import annotations

import csv
import io

from relume.evaluate import Report, Row, Scores
from relume.evaluate.noreference import Change, Changes
from relume.evaluate.report import (
    changes_csv,
    changes_images_table,
    changes_table,
    format_csv,
    format_table,
    images_table,
    text_table,
)

PLAIN = Report((Row("1", Scores(7, 0.2, 0.19, 15)), Row("a,b", Scores(8, 0.3, 0.29, 16))))
ALEX = Report((Row("1", Scores(20, 0.8, 0.79, 22, 0.125)),), 79_416, "alex 0.1")
VGG = Report((Row("1", Scores(21, 0.8, 0.79, 22, 0.25)),), 1, "vgg 0.1")


def test_markdown_table() -> None:
    lines = format_table({"input": PLAIN, "a|b": ALEX}).splitlines()
    assert (
        lines[0]
        == "| model | params | images | PSNR dB | SSIM | SSIM 7x7 | PSNR GT-mean dB | LPIPS (alex 0.1) |"
    )
    assert lines[2] == "| input | - | 2 | 7.50 | 0.2500 | 0.2400 | 15.50 | - |"
    assert lines[3] == "| a\\|b | 79,416 | 1 | 20.00 | 0.8000 | 0.7900 | 22.00 | 0.1250 |"


def test_without_a_backbone_there_is_no_lpips_column() -> None:
    assert "LPIPS" not in format_table({"input": PLAIN})


def test_each_backbone_has_its_own_column() -> None:
    lines = format_table({"one": ALEX, "two": VGG}).splitlines()
    assert lines[0].endswith("| LPIPS (alex 0.1) | LPIPS (vgg 0.1) |")
    assert lines[2].endswith("| 0.1250 | - |")
    assert lines[3].endswith("| - | 0.2500 |")


def test_text_tables_are_aligned() -> None:
    for text in (text_table({"input": PLAIN, "a model": ALEX}), images_table(PLAIN)):
        assert len({len(line) for line in text.splitlines()}) == 1
    assert images_table(PLAIN).splitlines()[-1].split() == ["mean", "7.50", "0.2500", "0.2400", "15.50"]


def test_csv_has_a_line_an_image_and_model() -> None:
    rows = list(csv.DictReader(io.StringIO(format_csv({"input": PLAIN, "net": ALEX}))))
    assert [(row["model"], row["name"]) for row in rows] == [("input", "1"), ("input", "a,b"), ("net", "1")]
    assert rows[0]["lpips"] == ""
    assert float(rows[2]["lpips"]) == 0.125
    assert rows[2]["lpips_backbone"] == "alex 0.1"


NAMES = (
    "mean_luma",
    "contrast",
    "clipped_shadows",
    "clipped_highlights",
    "mean_a",
    "mean_b",
    "noise_sigma",
)
CHANGES = Changes(
    (
        Change("a.jpg", dict.fromkeys(NAMES, 0.1), dict.fromkeys(NAMES, 0.4)),
        Change("b.jpg", dict.fromkeys(NAMES, 0.3), dict.fromkeys(NAMES, 0.6)),
    )
)


def test_statistics_before_and_after() -> None:
    title, before, after = changes_table({"net": CHANGES}).splitlines()
    assert title.split()[3:] == ["luma", "contrast", "black", "%", "clipped", "%", "a*", "b*", "noise"]
    assert before.split() == ["photos", "2", "0.200", "0.200", "20.00", "20.00", "0.2", "0.2", "0.2000"]
    assert after.split()[:3] == ["net", "2", "0.500"]
    assert changes_table({"net": CHANGES}, markdown=True).count("\n") == 4
    assert len(changes_images_table(CHANGES).splitlines()) == 5
    rows = list(csv.DictReader(io.StringIO(changes_csv({"net": CHANGES}))))
    assert (rows[1]["name"], rows[1]["before_contrast"], rows[1]["after_mean_a"]) == (
        "b.jpg",
        "0.300000",
        "0.600000",
    )
