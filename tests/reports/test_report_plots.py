"""Pictures: deterministic, themed by classes alone, with the figures they show in words."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib as mpl
import pytest
from support.verdicts import ALL, acceptance, broken, cell, demo, hostile, indistinguishable, troubled, verdict

from reports.groups import groups
from reports.operating import choices
from reports.plots import acceptance as accepted
from reports.plots import experts, pareto, speed, theory
from reports.plots.canvas import Picture
from reports.resources import Used
from reports.tradeoff import Spent
from results.expected import Widening
from results.verdicts import AcceptanceOf, CellVerdict, RunVerdict


def using(cell: CellVerdict) -> Spent:
    """Of a mixture with three layers, one of which drafting leaves as it is."""
    if cell.costs is not None:
        cell = replace(cell, costs=replace(cell.costs, widening=Widening(1.31, 1.25, 1.375, 12, 1.2)))
    return Spent(cell, Used(experts=(8.0, 12.5, 8.0 + cell.draft_length)), Used(experts=(8.0, 8.0, 8.0)), None)


def pictures(run: RunVerdict) -> list[Picture]:
    found = groups(run)
    extent = speed.extent(found)
    made = [speed.decision("best", found), speed.certificate("aa", found)]
    made += [pareto.pareto(f"pareto{i}", choice) for i, choice in enumerate(choices(found)[:2])]
    for i, group in enumerate(found[:2]):
        made += [
            speed.by_length(f"length{i}", group, extent),
            speed.scatter(f"units{i}", group),
            accepted.by_position(f"joint{i}", group, "joint"),
            accepted.by_position(f"conditional{i}", group, "conditional"),
            accepted.by_category(f"category{i}", group),
            accepted.by_output(f"output{i}", group),
            theory.expectation(f"theory{i}", group),
            theory.waterfall(f"waterfall{i}", group),
            experts.by_layer(f"experts{i}", group, [using(cell) for cell in group.cells]),
        ]
    return [picture for picture in made if picture is not None]


@pytest.fixture(scope="module")
def of_demo() -> dict[str, Picture]:
    return {picture.key: picture for picture in pictures(demo())}


def words(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_all_twelve_kinds_of_pictures_are_drawn_for_a_full_run(of_demo: dict[str, Picture]) -> None:
    assert len(of_demo) == 2 + 2 + 2 * 9


def test_experts_stand_beside_what_the_wider_verification_takes(of_demo: dict[str, Picture]) -> None:
    told = of_demo["experts0"].alternative
    assert told.startswith("plain 8.00; k = 1 ")
    assert "; k = 4 10.8 (8.00–12.5), 1.31× the time of a plain pass (interval 1.25–1.38); k = 5 " in told


@pytest.mark.parametrize("name", [name for name in ALL if name != "six_backends"])
def test_every_picture_is_sound_svg_without_style_script_or_link(name: str) -> None:
    for picture in pictures(ALL[name]()):
        root = ET.fromstring(picture.svg)
        ids = [node.attrib["id"] for node in root.iter() if "id" in node.attrib]
        assert len(ids) == len(set(ids))
        assert all(own.startswith(f"{picture.key}-") for own in ids)
        for node in root.iter():
            assert "style" not in node.attrib
            assert not node.tag.endswith(("script", "style", "metadata", "image", "foreignObject"))
            assert node.attrib.get("href", f"#{picture.key}-").startswith(f"#{picture.key}-")
            assert not any(value.startswith("#0000") for value in node.attrib.values()), "a colour without its class"
        assert picture.title
        assert picture.about
        assert picture.alternative


def test_the_same_figures_give_the_same_bytes(of_demo: dict[str, Picture]) -> None:
    (group, *_) = groups(demo())
    again = speed.by_length("length0", group, speed.extent(groups(demo())))
    assert again == of_demo["length0"]


def test_drawing_leaves_no_trace_in_matplotlibs_settings() -> None:
    before = dict(mpl.rcParams)
    speed.certificate("aa", groups(demo()))
    assert dict(mpl.rcParams) == before


def test_pictures_stay_small(of_demo: dict[str, Picture]) -> None:
    assert max(len(picture.svg) for picture in of_demo.values()) < 25_000


def test_alternatives_hold_the_figures_that_are_drawn(of_demo: dict[str, Picture]) -> None:
    assert "k = 4 2.02× (new prompts 1.89–2.15)" in of_demo["length0"].alternative
    assert of_demo["length0"].alternative.endswith("A/A 0.992–1.011.")
    assert "k = 2: 0.82 0.69" in of_demo["joint0"].alternative
    assert "k = 2: 0.82 0.84" in of_demo["conditional0"].alternative
    assert "docstring 3.93 (3.54–4.32, 120 rounds)" in of_demo["category0"].alternative
    assert "k = 4 measured 2.02×, Leviathan 2.67×, with measured costs 2.10×" in of_demo["theory0"].alternative
    assert "k = 5: ideal 3.89×" in of_demo["waterfall0"].alternative
    assert "unexplained residual -4% to 2.04×" in of_demo["waterfall0"].alternative
    assert "64-token prompts: k = 5, 2.04×, interval 1.86–2.22" in of_demo["best"].alternative
    assert "median" in of_demo["units0"].alternative


def test_axes_name_their_units(of_demo: dict[str, Picture]) -> None:
    assert {"draft length k, tokens a round", "decode speed-up"} <= set(words(of_demo["length0"].svg))
    assert "acceptance length, tokens a round" in words(of_demo["category0"].svg)
    assert "position in the output, tokens" in words(of_demo["output0"].svg)
    assert "24 units" in of_demo["length0"].about


def test_the_residual_is_drawn_as_it_is_loss_or_gain(of_demo: dict[str, Picture]) -> None:
    assert "−0.08" in words(of_demo["waterfall0"].svg)
    one = cell(4)
    assert one.theory is not None
    steps = (*one.theory.waterfall[:-1], replace(one.theory.waterfall[-1], speedup=2.4))
    gaining = theory.waterfall("w", groups(verdict([replace(one, theory=replace(one.theory, waterfall=steps))]))[0])
    assert gaining is not None
    assert "+0.30" in words(gaining.svg)


def test_without_a_measurement_the_waterfall_ends_in_a_prediction() -> None:
    one = cell(4, speedup=None)
    assert one.theory is not None
    known = replace(one, theory=replace(one.theory, waterfall=one.theory.waterfall[:-1]))
    picture = theory.waterfall("w", groups(verdict([known]))[0])
    assert picture is not None
    assert "predicted" in words(picture.svg)
    assert "measured" not in words(picture.svg)


def test_doubtful_and_synthetic_figures_carry_their_label_inside_the_picture() -> None:
    drawn = {picture.key: picture for picture in pictures(troubled())}
    assert {"invalid", "unverified", "imported", "not ranked"} <= set(words(drawn["length0"].svg))
    assert "SYNTHETIC" in words(drawn["length1"].svg)
    assert "k = 2 INVALID" in words(drawn["units0"].svg)
    assert "k = 1 SYNTHETIC 1.36×" in drawn["length1"].alternative


def test_a_difference_that_chance_explains_is_drawn_hollow() -> None:
    hollow = speed.by_length("x", groups(indistinguishable())[0], [1.0])
    solid = speed.by_length("x", groups(demo())[0], [1.0])
    assert hollow is not None
    assert solid is not None
    assert "f-paper" in hollow.svg
    assert "f-paper" not in solid.svg
    assert "not distinguishable from plain" in hollow.alternative


def test_many_units_become_deciles_rather_than_dots() -> None:
    few, many = (_with_units(n) for n in (100, 5000))
    a, b = speed.scatter("x", groups(few)[0]), speed.scatter("x", groups(many)[0])
    assert a is not None
    assert b is not None
    assert "dots" in a.about
    assert "25–75 %" in b.about
    assert len(b.svg) < len(a.svg)


def _with_units(n: int) -> RunVerdict:
    one = cell(4)
    assert one.speedup is not None
    return verdict(
        [replace(one, speedup=replace(one.speedup, per_unit=tuple((i, "x", 1.5 + i / n) for i in range(n))))]
    )


def test_more_categories_than_fit_are_counted() -> None:
    parts = {f"c{i}": AcceptanceOf(f"c{i}", 2 + i / 100, None, None, 10) for i in range(60)}
    run = verdict([cell(4, acceptance=replace(acceptance(4), by_category=parts))])
    picture = accepted.by_category("x", groups(run)[0])
    assert picture is not None
    assert picture.about.endswith("the first 40 of 60 categories")
    assert "c59" in words(picture.svg)
    assert "c0" not in words(picture.svg)


def test_conditional_acceptance_divides_neighbours_and_knows_no_ratio_to_zero() -> None:
    assert accepted.conditional((0.8, 0.4, 0.0, 0.0)) == [0.8, 0.5, 0.0, None]


def test_two_methods_differ_in_marker_and_colour() -> None:
    run = verdict(
        [cell(k, method=m, cell_id=i) for i, (m, k) in enumerate([("mtp", 1), ("mtp", 2), ("prompt-lookup", 1)])]
    )
    picture = speed.by_length("x", groups(run)[0], speed.extent(groups(run)))
    assert picture is not None
    assert {"mtp", "prompt-lookup"} <= set(words(picture.svg))
    assert "f-second" in picture.svg


def test_curves_of_one_method_are_those_of_the_best_one() -> None:
    run = verdict([cell(2, method="lookup", scale=0.7, cell_id=1), cell(1, cell_id=2), cell(2, cell_id=3)])
    picture = accepted.by_position("x", groups(run)[0], "joint")
    assert picture is not None
    assert "k = 1 mtp" in picture.alternative
    assert "lookup" not in picture.alternative


def test_ratios_over_a_wide_range_are_ticked_in_powers_of_two() -> None:
    run = verdict([cell(1, scale=0.3), cell(4, scale=3)])
    picture = speed.by_length("x", groups(run)[0], speed.extent(groups(run)))
    assert picture is not None
    assert {"0.5×", "1×", "2×", "4×"} <= set(words(picture.svg))


def test_a_strangers_labels_are_plain_text_in_pictures() -> None:
    for picture in pictures(hostile()):
        assert "<script" not in picture.svg
        assert "<img" not in picture.svg
        assert not set(picture.svg) & set("\x1b\x00\u202e\ud800")
    odd = replace(acceptance(4), by_category={})
    assert accepted.by_category("x", groups(verdict([cell(4, acceptance=odd)]))[0]) is None


def test_wrong_output_is_named_inside_the_picture_and_joins_no_curve() -> None:
    drawn = {picture.key: picture for picture in pictures(broken())}
    assert {"unexplained", "not ranked"} <= set(words(drawn["length0"].svg))
    assert words(drawn["length1"].svg).count("biased") == 2
    assert "k = 4 UNEXPLAINED 2.02×" in drawn["length0"].alternative
    assert "k = 4 UNEXPLAINED" in words(drawn["units0"].svg)
    assert "k = 4" not in drawn["theory0"].alternative
    assert "k = 4" not in drawn["best"].alternative
    assert "theory1" not in drawn
