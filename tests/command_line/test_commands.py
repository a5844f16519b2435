"""The command line says what the library says, and refuses politely."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sdeint.cli import main
from sdeint.method_table import markdown_table
from tableaux import catalogue

ROOT = Path(__file__).parents[2]
RALSTON = str(ROOT / "tableaux" / "examples" / "ralston.toml")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_help_lists_the_commands_of_both_packages() -> None:
    text = run("--help")
    for command in (
        "conditions",
        "converge",
        "demo",
        "evaluate",
        "methods",
        "order",
        "sample",
        "stability",
    ):
        assert command in text


def test_methods_lists_the_whole_catalogue() -> None:
    text = run("methods")
    assert all(name in text for name in catalogue)


def test_methods_are_listed_by_what_they_are_for() -> None:
    text = run("methods", "--noise", "diagonal", "--strong", "3/2", "--calculus", "ito")
    assert "SRID1" in text
    assert "DFMilstein" not in text
    assert "Heun" not in text
    assert "ImplicitEM" in run("methods", "--implicit")
    assert "no method of the catalogue fits" in run("methods", "--noise", "general", "--strong", 2)
    assert "did you mean" in run("methods", "--noise", "generl", code=1)


def test_choose_says_which_method_and_why() -> None:
    text = run("choose", "diagonal", "--purpose", "moments")
    assert text.startswith("W2F1: weak order 2 for diagonal Ito noise")
    assert "purpose" in run("choose", "diagonal", "--purpose", "pathss", code=1)


def test_the_table_in_the_docs_is_the_generated_one() -> None:
    assert (
        (ROOT / "docs" / "methods.md").read_text()
        == markdown_table()
        == run("methods", "--markdown")
    )


def test_order_prints_a_verdict_for_a_file_and_for_a_name() -> None:
    text = run("order", RALSTON)
    assert "Ralston: stratonovich, meant for general noise" in text
    assert "commutative  strong 1 " in text
    assert "first conditions that fail" in text
    assert "principal error" in text
    assert "f at 2 states and g at 2" in text
    assert "f at 2 states and g at 1 + 4m" in run("order", "RI6", "--noise", "diagonal")
    assert "embedded output" in run("order", "ShARK", "--embedded")


def test_conditions_are_printed_as_text_and_as_latex() -> None:
    text = run("conditions", "--family", "sra", "--strong", "3/2")
    assert "alpha^T (B0 e)^2 = 3/2" in text
    assert "8 independent conditions" in text
    latex = run("conditions", "--family", "sra", "--strong", "3/2", "--latex")
    assert r"{\beta^{(1)}}^T e &= 1" in latex
    assert "no member of the family has this order" in run("conditions", "--strong", "2")
    assert "give one of --strong and --weak" in run("conditions", code=2)


def test_a_family_from_a_file_has_conditions(tmp_path: Path) -> None:
    family = tmp_path / "family.toml"
    text = Path(RALSTON).read_text().replace('"1/4", "3/4"', '"1 - b", "b"')
    family.write_text(text)
    out = run("conditions", "--family", family, "--strong", "1/2")
    assert "independent conditions" in out


def test_converge_measures_and_writes_a_plot(tmp_path: Path) -> None:
    plot = tmp_path / "plot.png"
    text = run("converge", RALSTON, "--steps", "8,16,32,64", "--paths", 200, "--out", plot)
    assert "strong convergence of Ralston" in text
    assert "claimed order: 1" in text
    assert plot.stat().st_size > 5000


def test_stability_prints_the_function_and_writes_a_plot(tmp_path: Path) -> None:
    plot = tmp_path / "stability.png"
    text = run("stability", "EM", "SRIW1", "--out", plot)
    assert "EM: E R^2 = k**2 + z**2 + 2*z + 1" in text
    assert plot.stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("order", "SRIW"), "did you mean 'SRIW"),
        (("order", "missing.toml"), "No such file"),
        (("converge", "EM", "--problem", "boundd"), "did you mean 'bounded'"),
        (("converge", "EM", "--steps", "a,b"), "is no list of numbers"),
        (("conditions", "--family", "srx", "--strong", "1"), "did you mean 'sr"),
        (("sample", "--nfe", "1"), "too few"),
        (("sample", "--method", "TwoStap"), "did you mean 'TwoStep'"),
        (("sample", "--items", "0"), "items must be positive"),
        (("sample", "--grid", "karas"), "did you mean 'karras'"),
        (("sample", "--eta", "-1"), "eta = -1.0 must be 0"),
        (("sample", "--dtype", "float8"), "unknown dtype"),
        (("sample", "--record", "missing.json"), "No such file"),
        (("stability", "EM", "Heun"), "one calculus"),
    ],
)
def test_bad_requests_end_in_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    if arguments[0] in ("sample", "stability"):
        arguments = (*arguments, "--out", str(tmp_path / "x.png"))
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_malformed_file_is_refused_with_its_place(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(Path(RALSTON).read_text().replace('"2/3"', "0.6667", 1))
    result = CliRunner().invoke(main, ["order", str(broken)])
    assert result.exit_code == 1
    assert "rounded decimal" in result.output
    assert str(broken) in result.output


@pytest.mark.slow
def test_the_demo_runs_from_end_to_end(tmp_path: Path) -> None:
    text = run("demo", "--quick", "--out", tmp_path)
    assert "proved 1, observed" in text
    assert "standard errors" in text
    assert "one stage, F stored" in text
    for name in ("convergence", "ensemble", "digits", "evaluations"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
